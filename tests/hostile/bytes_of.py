"""Bytes of hostile files: archives, pickles, arrays, images and tables."""

from __future__ import annotations

import pickle
import struct
import zlib

STORED, DEFLATED = 0, 8
MEBIBYTE = 1 << 20


def deflated(mebibytes: int, fill: bytes = b"\0", before: bytes = b"") -> bytes:
    """Returns a raw deflate stream of many mebibytes of one byte, after the bytes `before`.

    The stream is a thousandth as long as its content, and is built without compressing anything.
    """
    head, packer, end = (zlib.compressobj(9, zlib.DEFLATED, -15) for _ in range(3))
    first = head.compress(before) + head.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(fill * MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * mebibytes + end.flush()


def zip_of(entries, at=None, count=None, table_bytes=None) -> bytes:
    """A zip archive.

    Args:
      entries: (name, content) for what is stored, or (name, content, method, size) with the content
        as it lies in the file and the size that is declared.
      at: of all entries, where they are said to lie; None for where they do.
      count, table_bytes: what the end says of the table of contents; None for the truth.
    """
    body, table = b"", b""
    for name, content, *rest in entries:
        method, size = rest or (STORED, len(content))
        crc = zlib.crc32(content) if method == STORED else 0
        encoded = name.encode()
        numbers = (20, 0, method, 0, 0, crc, len(content), size, len(encoded), 0)
        place = len(body) if at is None else at
        body += b"PK\3\4" + struct.pack("<HHHHHIIIHH", *numbers) + encoded + content
        table += b"PK\1\2" + struct.pack("<HHHHHHIIIHH", 20, *numbers)
        table += struct.pack("<HHHII", 0, 0, 0, 0, place) + encoded
    count = len(entries) if count is None else count
    length = len(table) if table_bytes is None else table_bytes
    end = struct.pack("<HHHHIIH", 0, 0, count & 65535, count & 65535, length, len(body), 0)
    return body + table + b"PK\5\6" + end


def torch_zip(pickled: bytes, *entries, **settings) -> bytes:
    """Returns a PyTorch file with the given pickle and further entries below "archive/"."""
    entries = [(f"archive/{name}", *rest) for name, *rest in entries]
    return zip_of([("archive/data.pkl", pickled), *entries], **settings)


def older_torch(pickled: bytes, tail: bytes = b"") -> bytes:
    """Returns a PyTorch file of the format before 1.6 with the given pickle as its content."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(value, 2) for value in head) + pickled + tail


def text(value: str) -> bytes:
    """Returns the pickle operation that pushes a text."""
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    """Returns the pickle operation that pushes an integer."""
    encoded = pickle.encode_long(value)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def numbers(values) -> bytes:
    """Returns the pickle operations that push a tuple of integers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(shape, strides, storage="0", size=1, offset=0, kind="FloatStorage") -> bytes:
    """Returns the pickle operations that push a tensor, as torch.save writes them."""
    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(storage)
    storage += text("cpu") + number(size) + b"tQ"
    view = number(offset) + numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + b"tR"


def state_dict(tensors) -> bytes:
    """Returns a pickle of tensors by name, each given as the operations that push it."""
    items = b"".join(text(name) + pushed for name, pushed in tensors.items())
    return b"\x80\x02}(" + items + b"u."


def torch_of_shapes(shapes, fill: int = 1) -> bytes:
    """Returns a PyTorch file of tensors with these shapes, all views of one storage of zeros."""
    size = max([fill, *map(_product, shapes.values())])
    tensors = {name: tensor(shape, _strides(shape), size=size) for name, shape in shapes.items()}
    content = deflated(-(-4 * size // MEBIBYTE))
    return torch_zip(state_dict(tensors), ("data/0", content, DEFLATED, 4 * size))


def _product(shape):
    total = 1
    for side in shape:
        total *= side
    return total


def _strides(shape):
    return [_product(shape[place + 1 :]) for place in range(len(shape))]


def npy(header: str, data: bytes = b"", version=1) -> bytes:
    """Returns an entry of an .npz file with the given header."""
    encoded = header.encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(encoded) & 0xFFFFFFFF)
    return b"\x93NUMPY" + bytes([version, 0]) + length + encoded + data


def header(shape, descr="<f4") -> str:
    """Returns the header of an array."""
    return f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"


def safetensors(json_text: str, data: bytes = b"", length: int | None = None) -> bytes:
    """Returns a safetensors file with the given header."""
    encoded = json_text.encode()
    return struct.pack("<Q", len(encoded) if length is None else length) + encoded + data


def png(width: int, height: int, rows: int | None = None) -> bytes:
    """Returns a black PNG image with one bit per pixel."""
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    rows = height if rows is None else rows
    data = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    size = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in ((b"IHDR", size), (b"IDAT", data), (b"IEND", b""))
    )


def varint(value: int) -> bytes:
    """Returns the bytes of a variable-length number."""
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def table(entries) -> bytes:
    """Returns a LevelDB table of one block; an entry is (shared, rest of the key, value)."""
    block = b"".join(
        varint(shared) + varint(len(rest)) + varint(len(value)) + rest + value
        for shared, rest, value in entries
    )
    blocks, places = b"", []
    index = lambda place: b"\0\1" + varint(len(place)) + b"\xff" + place  # noqa: E731
    for content in (block, None, b""):
        content = index(places[0]) if content is None else content
        content += struct.pack("<II", 0, 1)
        places.append(varint(len(blocks)) + varint(len(content)))
        blocks += content + b"\0" + struct.pack("<I", _masked_crc(content + b"\0"))
    footer = (places[2] + places[1]).ljust(40, b"\0")
    return blocks + footer + struct.pack("<Q", 0xDB4775248B80FB57)


def _masked_crc(content: bytes) -> int:
    """Returns the checksum of a table's block: CRC-32C, rotated."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_table():
    made = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        made.append(value)
    return made


_CRC_TABLE = _crc_table()
