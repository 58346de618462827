"""Every file format returns the tensors that were written, and no code in a file is executed."""

from __future__ import annotations

import argparse
import collections
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tf_biggan.conversion.readers.files import read_everything, read_tensors

RANDOM = np.random.RandomState(0)
ARRAYS = {
    "a.weight": RANDOM.standard_normal((3, 4, 2, 2)).astype("float32"),
    "a.bias": RANDOM.standard_normal(3).astype("float32"),
    "gamma": np.full((), 0.5, "float32"),
    "count": np.array([7], "int64"),
    "empty": np.zeros((0, 3), "float32"),
}


def _state_dict(arrays=ARRAYS):
    return collections.OrderedDict((k, torch.tensor(v)) for k, v in arrays.items())


def _write(path, kind, contents=None):
    contents = _state_dict() if contents is None else contents
    if kind in ("zip", "older"):
        torch.save(contents, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "npz":
        with open(path, "wb") as file:
            np.savez(file, **{k: v.numpy() for k, v in contents.items()})
    else:
        save_file(contents, path)
    return str(path)


@pytest.fixture(params=["zip", "older", "npz", "safetensors"])
def kind(request):
    return request.param


def test_every_format_gives_the_arrays(kind, tmp_path):
    # The file name has no ending, so the format must be found from the content.
    tensors = read_tensors(_write(tmp_path / "weights", kind))
    assert tensors.shapes == {key: array.shape for key, array in ARRAYS.items()}
    assert tensors.dtypes["count"] == "int64"
    for key, array in ARRAYS.items():
        np.testing.assert_array_equal(tensors[key], array)
        assert tensors[key].dtype == array.dtype


def test_half_precision_becomes_float32(kind, tmp_path):
    types = [torch.float16] if kind == "npz" else [torch.float16, torch.bfloat16]
    for dtype in types:
        contents = {"w": torch.from_numpy(ARRAYS["a.weight"]).to(dtype)}
        tensors = read_tensors(_write(tmp_path / str(dtype), kind, contents))
        assert tensors.dtypes == {"w": str(dtype).removeprefix("torch.")}
        assert tensors["w"].dtype == "float32"
        np.testing.assert_array_equal(tensors["w"], contents["w"].float().numpy())


@pytest.mark.parametrize("kind", ["zip", "older"])
def test_views_of_one_storage_and_parameters(kind, tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    contents = {
        "whole": whole,
        "turned": whole.T,
        "part": whole[1:, 2],
        "parameter": torch.nn.Parameter(whole[:2]),
    }
    tensors = read_tensors(_write(tmp_path / "views", kind, contents))
    for key, tensor in contents.items():
        np.testing.assert_array_equal(tensors[key], tensor.detach().numpy())


@pytest.mark.parametrize("kind", ["zip", "older"])
def test_weights_are_found_below_state_dict_and_the_rest_is_kept(kind, tmp_path):
    contents = {
        "state_dict": {f"module.{key}": value for key, value in _state_dict().items()},
        "meta": {"cfg": "rgb2bgr=True", "args": argparse.Namespace(seed=1), "rate": np.float64(1)},
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}},
        "counts": collections.defaultdict(list, {"x": [1]}),
        "size": torch.Size([1, 2]),
        "dtype": torch.float32,
        "history": np.arange(3),
    }
    path = _write(tmp_path / "nested", kind, contents)
    assert set(read_tensors(path)) == set(ARRAYS)
    other = read_everything(path)
    assert other["meta"]["cfg"] == "rgb2bgr=True"
    assert (other["counts"], other["size"], other["dtype"]) == ({"x": [1]}, (1, 2), "float32")
    state = other["optimizer"]["state"][0]
    assert state["step"] == 3
    np.testing.assert_array_equal(state["exp_avg"].read(), [1, 1])


class _Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class _Evaluate(_Touch):
    def __reduce__(self):
        return eval, (f"__import__('os').mkdir({self.path!r})",)


class _Exec(_Touch):
    def __reduce__(self):
        return exec, (f"import os; os.mkdir({self.path!r})",)


@pytest.mark.parametrize("kind", ["zip", "older"])
@pytest.mark.parametrize("attack", [_Touch, _Evaluate, _Exec])
def test_a_file_that_would_run_something_is_refused_and_runs_nothing(kind, attack, tmp_path):
    victim = tmp_path / "made"
    # The attack works with Python's own unpickler.
    pickle.loads(pickle.dumps(attack(str(victim))))
    victim.rmdir()
    for contents in ({"w": attack(str(victim))}, {"state_dict": {}, "meta": attack(str(victim))}):
        path = _write(tmp_path / "attack", kind, {**contents, "x": torch.ones(1)})
        names = r"the file refers to (posix\.mkdir|(__builtin__|builtins)\.(eval|exec))\."
        with pytest.raises(ValueError, match=f"{names}.*Nothing was executed"):
            read_tensors(path)
    assert not victim.exists()


def test_known_names_cannot_be_made_to_run_something(tmp_path):
    """`getattr` is inert, and so are attributes of known modules."""
    victim = tmp_path / "made"
    command = f"import os; os.mkdir({str(victim)!r})".encode()
    # `runstring` is in numpy, whose names are all inert.
    attack = (
        b"cnumpy.testing._private.utils\nrunstring\n(S'" + command.replace(b"'", b'"') + b"'\n}"
    )
    attack += b"tR."
    path = tmp_path / "attack.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", attack)
    with pytest.raises(ValueError, match="holds no dictionary of tensors"):
        read_tensors(str(path))
    assert not victim.exists()


def test_a_tensor_outside_its_storage_is_refused(tmp_path):
    source = tmp_path / "good.pth"
    torch.save({"w": torch.arange(100.0)}, source)
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for old, new in (
        (b"Kd\x85", b"Ke\x85"),
        (b"K\x00Kd", b"K\x01Kd"),
        (b"K\x01\x85", b"K\xff\x85"),
    ):
        path = tmp_path / "bad.pth"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in entries.items():
                changed = data.replace(old, new) if name.endswith("data.pkl") else data
                assert changed != data or not name.endswith("data.pkl")
                archive.writestr(name, changed)
        with pytest.raises(ValueError, match="lies outside of its storage of 100 elements"):
            read_tensors(str(path))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_file_is_one_clear_error(kind, share, tmp_path):
    path = _write(tmp_path / "weights.pth", kind)
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match=r"weights\.pth|holds"):
        dict(read_tensors(path))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"hello, world", b"\x80\x02]q\x00.", b"\x89PNG\r\n"]
)
def test_other_files_are_refused(data, tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"Received|Cannot read"):
        read_tensors(str(path))


def test_pickled_arrays_in_an_npz_are_refused(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npy holds pickled .* without Python objects"):
        read_tensors(str(path))


def test_a_damaged_array_of_an_npz_is_one_clear_error(tmp_path):
    path = tmp_path / "x.npz"
    for save in (np.savez, np.savez_compressed):
        save(path, a=np.random.RandomState(0).standard_normal(2000).astype("float32"))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(bytes(content))
        with pytest.raises(ValueError, match=r"x\.npz.* is damaged"):
            read_tensors(str(path))["a"]


def test_tensors_without_names_are_refused(tmp_path):
    torch.save({1: torch.ones(2)}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"tensors without names"):
        read_tensors(str(tmp_path / "x.pth"))


def test_only_what_is_asked_for_is_read(tmp_path):
    path = _write(tmp_path / "weights.pth", "zip", {"a.weight": torch.ones(300, 400)})
    tensors = read_tensors(path)
    os.truncate(path, 64)
    assert tensors.shapes["a.weight"] == (300, 400)
    assert list(tensors.below("a.")) == ["weight"]
    with pytest.raises(ValueError, match="damaged"):
        tensors["a.weight"]
