"""Sixty files that would take gigabytes or minutes to read: six of each of ten kinds."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import pickle
import struct
import tarfile
from collections.abc import Callable, Mapping

from PIL import Image

from tests.hostile import bytes_of as b

HUGE = 10**12
BZIP2 = 12
MANY = 1_100_000


@dataclasses.dataclass(frozen=True)
class Hostile:
    """One file or folder.

    Attributes:
      kind: one of ten.
      name: of the file, with the suffix that a command looks at.
      make: gives its bytes, or of a folder those of every file in it, by path.
      words: what the line that refuses it says.
      reader: which command it is given to, a key of `readers.READERS`.
    """

    kind: str
    name: str
    make: Callable[[], bytes | Mapping[str, bytes]]
    words: str
    reader: str = "convert"


def _bomb(name: str, mebibytes: int = 2048):
    return name, b.deflated(mebibytes), b.DEFLATED, mebibytes * b.MEBIBYTE


def _pickle(operations: bytes, **deflated) -> bytes:
    """Returns a PyTorch file with the given pickle."""
    return b.torch_zip(b"\x80\x02" + operations + b".")


def _nones(name: str, mebibytes: int):
    content = b.deflated(mebibytes, b"N", b"\x80\x02(")
    return name, content, b.DEFLATED, mebibytes * b.MEBIBYTE + 3


PARTS, MOMENTS = ("gain", "bias"), ("mean", "var")
ONE = b.state_dict({"w": b.tensor([1], [1])})
# Stores a list of 100,000 items, and a dictionary made from it, at place 0 of the memo.
LONG = b"](" + b")" * 100_000 + b"eq\0"


def _shapes(**changed) -> dict:
    """Returns the tensor shapes of BigGAN-PyTorch's smallest generator, some of them changed."""
    shapes = {
        "shared.weight": (1, 1),
        "linear.weight": (16, 1),
        "output_layer.2.weight": (3, 1, 3, 3),
    }
    for block in range(3):
        place = f"blocks.{block}.0"
        shapes |= {f"{place}.conv{k}.weight": (1, 1, 3, 3) for k in (1, 2)}
        shapes |= {f"{place}.conv_sc.weight": (1, 1, 1, 1)}
        shapes |= {f"{place}.bn{k}.{part}.weight": (1, 2) for k in (1, 2) for part in PARTS}
        shapes |= {f"{place}.bn{k}.stored_{part}": (1,) for k in (1, 2) for part in MOMENTS}
    shapes |= {f"output_layer.0.{part}": (1,) for part in ("gain", "bias")}
    return {**shapes, **{f"output_layer.0.stored_{part}": (1,) for part in MOMENTS}, **changed}


def _wide(width: int) -> dict:
    """Returns blocks of a width whose kernels have no positions, so that they are empty."""
    shapes = _shapes()
    for block in range(3):
        place = f"blocks.{block}.0"
        shapes |= {f"{place}.conv{k}.weight": (width, width, 0, 0) for k in (1, 2)}
        shapes |= {f"{place}.conv_sc.weight": (width, width, 0, 0)}
    return {**shapes, "linear.weight": (16 * width, 1), "output_layer.2.weight": (3, width, 0, 0)}


def _tables(classes: int) -> dict:
    """Returns tables with many classes, whose rows are empty, for every batch norm."""
    shapes = {k: v for k, v in _shapes().items() if k != "shared.weight"}
    return {k: (classes, 0) if ".gain." in k or ".bias." in k else v for k, v in shapes.items()}


def _many_blocks(count: int) -> dict:
    first = {k: v for k, v in _shapes().items() if k.startswith("blocks.0.")}
    repeated = {k.replace("s.0.", f"s.{n}.", 1): v for n in range(count) for k, v in first.items()}
    return {**_shapes(), **repeated}


def _model_folder(**changed) -> dict[str, bytes]:
    """Returns the files of a model folder with few numbers."""
    stored = os.path.join(os.path.dirname(__file__), "..", "version_0_1", "model", "config.json")
    with open(stored, encoding="utf-8") as file:
        config = json.load(file)
    config["generator"].update(changed)
    tiny = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    return {
        "config.json": json.dumps(config).encode(),
        "generator.safetensors": b.safetensors(tiny, b"\0" * 4),
    }


def _npz(*entries) -> bytes:
    return b.zip_of([(f"{name}.npy", *rest) for name, *rest in entries])


def _module(graph: bytes, index: bytes = b"", data: bytes = b"") -> dict[str, bytes]:
    files = {"saved_model.pb": graph}
    if index:
        files["variables/variables.index"] = index
        files["variables/variables.data-00000-of-00001"] = data
    return files


def _graph_def(*constants) -> bytes:
    """Returns a graph of float constants, given as (name, shape), with one stored number each."""
    from tensorflow.core.framework.graph_pb2 import GraphDef

    graph = GraphDef()
    for name, shape in constants:
        node = graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = node.attr["value"].tensor.dtype = 1
        node.attr["value"].tensor.float_val.append(1)
        for side in shape:
            node.attr["value"].tensor.tensor_shape.dim.add(size=side)
    return graph.SerializeToString()


def _saved_model(graph: bytes) -> bytes:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel()
    meta = model.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.graph_def.ParseFromString(graph)
    return model.SerializeToString()


def _variable(name: bytes, shape) -> tuple[int, bytes, bytes]:
    """Returns the entry of a float variable without bytes in a checkpoint's index."""
    sides = b"".join(b"\x12" + b.varint(len(s) + 1) + b"\x08" + s for s in map(b.varint, shape))
    return 0, name, b"\x08\x01\x12" + b.varint(len(sides)) + sides


def _index(*entries) -> bytes:
    head = (0, b"", b"\x08\x01\x1a\x02\x08\x01")
    return b.table([head, *entries])


def _tgz(*members) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        for name, kind, size, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, size
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            for piece in content:
                file.write(piece)
    return packed.getvalue()


def _jpeg(side: int) -> bytes:
    """Returns a small JPEG file whose header declares another size."""
    packed = io.BytesIO()
    Image.new("L", (8, 8)).save(packed, "JPEG")
    before, mark, after = packed.getvalue().partition(b"\xff\xc0\x00\x0b\x08")
    return before + mark + struct.pack(">HH", side, side) + after[4:]


def _zeros(mebibytes: int):
    return (b"\0" * b.MEBIBYTE for _ in range(mebibytes))


GRAPH = "classify_image_graph_def.pb"
GIF = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff,"
GIF += struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02D\x01\0;"
BMP = b"BM" + struct.pack("<IIIIiiHHI", 64, 0, 54, 40, 60_000, -60_000, 1, 24, 0) + b"\0" * 20
WEBP = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8L" + struct.pack("<IBI", 10, 0x2F, (1 << 28) - 1)

# Maps each kind to (name, maker, words of the message), with the reader if it is not the converter.
TABLE = {
    "zip": [
        ("byteorder.pth", lambda: b.torch_zip(ONE, _bomb("byteorder")), "of decompressed entries"),
        ("storage.pth", lambda: b.torch_zip(ONE, _bomb("data/0")), "of decompressed entries"),
        ("pickle.pth", lambda: b.zip_of([_bomb("archive/data.pkl")]), "of decompressed entries"),
        (
            "overlapping.pth",
            lambda: b.torch_zip(ONE, *((f"data/{n}", bytes(99)) for n in range(999)), at=0),
            "entries overlap",
        ),
        (
            "long_names.pth",
            lambda: b.zip_of([(f"{n:0>60000}", b"") for n in range(100)]),
            "table of contents is larger",
        ),
        (
            "other_method.pth",
            lambda: b.torch_zip(ONE, ("data/0", bytes(9), BZIP2, 1 << 31)),
            "encrypted or compressed",
        ),
    ],
    "objects of a pickle": [
        ("nones.pth", lambda: b.zip_of([_nones("archive/data.pkl", 100)]), "operations"),
        ("dictionaries.pth", lambda: _pickle(b"(" + b"}" * MANY + b"t"), "operations"),
        ("sets.pth", lambda: _pickle(b"(" + b"\x8f" * MANY + b"t"), "operations"),
        ("memo.pth", lambda: _pickle(b"}r\xff\xff\xff\xff"), "holds no tensors"),
        (
            "copies.pth",
            lambda: _pickle(LONG + b"(" + b"ctorch\nSize\nh\0\x85R" * 9_999 + b"t"),
            "more than 64 axes",
        ),
        (
            "dictionary_copies.pth",
            lambda: _pickle(
                b"]("
                + b"N]\x86" * 50_000
                + b"eq\0("
                + b"ccollections\nOrderedDict\nh\0\x85R" * 9_999
                + b"t"
            ),
            "operations",
        ),
    ],
    "the texts of its pickle": [
        ("long_text.pth", lambda: _pickle(_text_of(70)), "a text or number in its pickle"),
        (
            "texts.pth",
            lambda: _pickle(b"(" + _texts(b"\xf0\x9f\x90\x88", 300) + b"t"),
            "all texts of",
        ),
        (
            "eight_bytes.pth",
            lambda: _pickle(b"\x8d" + struct.pack("<Q", 1 << 60)),
            "a text or number",
        ),
        (
            "byte_array.pth",
            lambda: _pickle(b"\x96" + struct.pack("<Q", 1 << 40)),
            "a text or number",
        ),
        (
            "integer.pth",
            lambda: _pickle(b"\x8b" + struct.pack("<i", (1 << 31) - 1)),
            "a text or number",
        ),
        ("line.pth", lambda: _pickle(b"V" + b"x" * (2 << 20) + b"\n"), "a line of its pickle"),
    ],
    "time of a pickle": [
        ("hashes.pth", lambda: _pickle(b"}()" + b"2\x86" * 60 + b"K\1u"), "holds no tensors"),
        (
            "equal_hashes.pth",
            lambda: _pickle(b"}(" + _same_hash(50_000) + b"u"),
            "holds no tensors",
        ),
        ("nested.pth", lambda: _pickle(b"]" * MANY + b"a" * MANY), "operations"),
        ("written_out.pth", lambda: _pickle(b")" + b"2\x86" * 60 + b"Q"), "storage of a tensor"),
        ("digits.pth", lambda: _pickle(b"L" + b"7" * 900_000 + b"L\n"), "more than .* digits"),
        ("configuration.pth", lambda: _configuration(), "more than 4000000 values"),
    ],
    "storages and views": [
        (
            "expanded.pth",
            lambda: b.torch_zip(b.state_dict({"w": b.tensor([HUGE], [0])}), ("data/0", bytes(4))),
            "lies outside of its storage",
        ),
        (
            "larger_than_its_entry.pth",
            lambda: b.torch_zip(
                b.state_dict({"w": b.tensor([HUGE], [1], size=HUGE)}), ("data/0", bytes(4))
            ),
            "needs 4000000000000 bytes",
        ),
        (
            "one_for_all.pth",
            lambda: b.torch_zip(
                b.state_dict({f"w{n}": b.tensor([9 << 20], [1], size=9 << 20) for n in range(999)}),
                ("data/0", b.deflated(36), b.DEFLATED, 36 << 20),
            ),
            "times as large as the stored",
        ),
        (
            "one_under_many_names.pth",
            lambda: b.torch_zip(
                b"\x80\x02}("
                + b.text("w")
                + b.tensor([1], [1])
                + b"q\0"
                + b"".join(b.text(f"w{n}") + b"h\0" for n in range(30_000))
                + b"u.",
                ("data/0", bytes(4)),
            ),
            "more than 20000 tensors",
        ),
        (
            "older.pth",
            lambda: b.older_torch(
                b.state_dict({"w": b.tensor([HUGE], [1], size=1 << 60)}),
                pickle.dumps(["0"], 2) + struct.pack("<q", 1 << 60),
            ),
            "ends within a storage",
        ),
        (
            "axes.pth",
            lambda: b.torch_zip(
                b.state_dict({"w": b.tensor([1 << 62] * 999, [0] * 999)}), ("data/0", bytes(4))
            ),
            "at most 64 axes",
        ),
    ],
    "arrays": [
        ("declared.npz", lambda: _npz(("a", b.npy(b.header((HUGE,))))), "declares 4000000000000"),
        ("inflated.npz", lambda: _npz(_bomb("a")), "of decompressed entries"),
        (
            "long_header.npz",
            lambda: _npz(("a", b.npy(" " * (1 << 20) + b.header((1,)), bytes(4), version=2))),
            "does not begin with",
        ),
        ("nested_header.npz", lambda: _npz(("a", b.npy("(" * 9_000))), "does not begin with"),
        (
            "image_set.npz",
            lambda: _npz(("x", b.npy(b.header((99_999, 999, 999, 3), "|u1")))),
            "header declares",
            "images",
        ),
        (
            "records.npz",
            lambda: _npz(("a", b.npy(b.header((1,), "|V1000000000000")))),
            "does not begin with",
        ),
    ],
    "safetensors": [
        ("length.safetensors", lambda: b.safetensors("{" + " " * 99, length=1 << 60), "header has"),
        ("header.safetensors", lambda: b.safetensors("{" + " " * (50 << 20) + "}"), "header has"),
        (
            "shape.safetensors",
            lambda: b.safetensors(_head(shape=[1 << 62, 1 << 62]), bytes(4)),
            "the safetensors file",
        ),
        (
            "empty.safetensors",
            lambda: b.safetensors(_head(shape=[1 << 40, 0], end=0)),
            "only tensors of unknown names",
        ),
        (
            "offsets.safetensors",
            lambda: b.safetensors(_head(end=1 << 50), bytes(4)),
            "the saf",
        ),
        (
            "many.safetensors",
            lambda: b.safetensors(
                json.dumps(
                    {
                        str(n): dict(dtype="U8", shape=[0], data_offsets=[0, 0])
                        for n in range(50_000)
                    }
                )
            ),
            "more than 20000 tensors",
        ),
    ],
    "networks": [
        (
            "classes.pth",
            lambda: b.torch_of_shapes(_tables(10**11)),
            "the file has far fewer",
        ),
        ("channels.pth", lambda: b.torch_of_shapes(_wide(2048)), "the file has far fewer"),
        ("blocks.pth", lambda: b.torch_of_shapes(_many_blocks(900)), "may have at most .* blocks"),
        (
            "model_channels",
            lambda: _model_folder(base_channels=4096),
            "the file has far fewer",
            "sample",
        ),
        (
            "model_classes",
            lambda: _model_folder(num_classes=10**9),
            "the file has far fewer",
            "sample",
        ),
        ("model_depth", lambda: _model_folder(depth=100_000), "residual blocks", "sample"),
    ],
    "TensorFlow": [
        ("keys", lambda: _module(b"", _index(*_long_keys())), "index has more than"),
        (
            "variable",
            lambda: _module(b"", _index(_variable(b"w", [HUGE])), bytes(4)),
            "larger tensors than its files",
        ),
        ("nodes", lambda: _module(b"\x0a\x00" * (20 << 20)), "fields", "weights"),
        (
            "filled",
            lambda: _module(_saved_model(_graph_def(("a", [HUGE])))),
            "that are not in the file",
            "sample",
        ),
        (
            "members.tgz",
            lambda: _tgz(("x", tarfile.REGTYPE, 1 << 31, _zeros(600))),
            GRAPH,
            "weights",
        ),
        (
            "header.tgz",
            lambda: _tgz(("x", tarfile.XHDTYPE, 600 << 20, _zeros(600))),
            GRAPH,
            "weights",
        ),
    ],
    "images": [
        ("pixels.png", lambda: b.png(30_000, 30_000), "million pixels", "invert"),
        ("canvas.png", lambda: GIF, "JPEG, PNG, BMP or WebP", "invert"),
        ("pixels.jpg", lambda: _jpeg(65_500), "million pixels", "invert"),
        ("pixels.bmp", lambda: BMP, "million pixels", "invert"),
        ("pixels.webp", lambda: WEBP, "million pixels", "invert"),
        ("folder", lambda: {"a.png": b.png(20_000, 20_000)}, "million pixels", "images"),
    ],
}


def _text_of(mebibytes: int) -> bytes:
    return b"X" + struct.pack("<I", mebibytes << 20) + b"x" * (mebibytes << 20)


def _texts(character: bytes, count: int) -> bytes:
    """Returns texts of half a megabyte in which each character takes four bytes."""
    content = character + b"x" * 200_000
    return (b"X" + struct.pack("<I", len(content)) + content) * count


def _same_hash(count: int) -> bytes:
    """Returns items whose keys are different integers with the same hash."""
    return b"".join(b.number(n * ((1 << 61) - 1)) + b"N" for n in range(count))


def _configuration() -> bytes:
    """Returns mmagic's configuration as a list that would be endless when written out."""
    pairs = (b"0](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(60))
    nested = b"]q\0" + b"".join(pairs)
    weights = b.text("conv_blocks.0.conv1.conv.weight") + b.tensor([1], [1])
    content = b"\x80\x02}(" + b.text("state_dict") + b"}(" + weights + b"u"
    content += b.text("meta") + b"}(" + b.text("cfg") + nested + b"uu."
    return b.torch_zip(content, ("data/0", bytes(4)))


def _long_keys():
    yield 0, b"k" * 1_000_000, b""
    for _ in range(9_999):
        yield 999_999, b"l", b""


def _head(shape=(1,), end=4) -> str:
    return json.dumps({"w": dict(dtype="F32", shape=list(shape), data_offsets=[0, end])})


CASES = tuple(Hostile(kind, *row) for kind, rows in TABLE.items() for row in rows)


def write(case: Hostile, folder) -> str:
    """Writes a case below a folder and returns its path."""
    path, content = os.path.join(folder, case.name), case.make()
    if isinstance(content, bytes):
        content, files = None, {path: content}
    else:
        files = {os.path.join(path, name): data for name, data in content.items()}
    for file, data in files.items():
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as opened:
            opened.write(data)
    return path
