"""Operations at an address of TensorFlow give what they give on the local file system."""

from __future__ import annotations

import ast
import os
import pathlib

import pytest
import tensorflow as tf

import tf_biggan
from tests.remote_files import new_address
from tf_biggan.files import file_system
from tf_biggan.files.file_paths import PlainFolder
from tf_biggan.files.json_files import folder_sha256

ROOT = pathlib.Path(tf_biggan.__file__).parent


@pytest.fixture
def address():
    """Returns a folder of its own at an address, which exists."""
    return new_address()


def history(folder):
    """Changes files in a folder and yields what can be seen there."""
    join = os.path.join
    yield file_system.exists(join(folder, "a")), file_system.isdir(join(folder, "a"))
    file_system.makedirs(join(folder, "a", "b"))
    file_system.makedirs(join(folder, "a", "b"))
    yield file_system.exists(join(folder, "a")), file_system.isdir(join(folder, "a"))
    yield file_system.isfile(join(folder, "a")), file_system.listdir(join(folder, "a", "b"))
    for name, content in (("x.txt", b"first\n"), ("b/y.txt", b"second\n"), ("z.txt", b"third\n")):
        with file_system.open_file(join(folder, "a", name), "ab") as file:
            file.write(content)
    with file_system.open_file(join(folder, "a", "x.txt"), "a", encoding="utf-8") as file:
        file.write("é\n")
        file.flush()
        yield file_system.getsize(join(folder, "a", "x.txt"))
    with file_system.open_file(join(folder, "a", "x.txt")) as file:
        yield file.read(2), file.tell(), file.seek(-3, os.SEEK_END), file.read(), file.read()
        yield file.seek(1), file.read(3), file.seek(1, os.SEEK_CUR), list(file)
    with file_system.open_file(join(folder, "a", "x.txt"), "r", encoding="utf-8") as file:
        yield list(file)
    with file_system.local_copy(join(folder, "a", "b", "y.txt")) as local:
        yield os.path.basename(local), pathlib.Path(local).read_bytes()
    yield [os.path.relpath(path, folder) for path in sorted(file_system.walk(folder))]
    yield folder_sha256(folder)
    file_system.rename(join(folder, "a", "x.txt"), join(folder, "a", "z.txt"))
    yield sorted(file_system.listdir(join(folder, "a"))), folder_sha256(folder)
    file_system.remove(join(folder, "a", "z.txt"))
    yield file_system.listdir(join(folder, "a")), file_system.isfile(join(folder, "a", "z.txt"))
    file_system.rmtree(join(folder, "a"))
    yield file_system.exists(join(folder, "a")), file_system.listdir(folder)
    file_system.rmtree(join(folder, "a"))


def test_both_file_systems_show_the_same(tmp_path, address):
    local, remote = list(history(str(tmp_path))), list(history(address))
    assert remote == local and len(local) == 13


@pytest.mark.parametrize(
    "read",
    [file_system.listdir, file_system.getsize, file_system.remove, file_system.open_file],
    ids=lambda read: read.__name__,
)
def test_what_is_missing_raises_the_same_error(read, tmp_path, address):
    for folder in (str(tmp_path), address):
        with pytest.raises(FileNotFoundError) as caught:
            read(os.path.join(folder, "nowhere"))
        assert caught.value.strerror == "No such file or directory"
        assert caught.value.filename == os.path.join(folder, "nowhere")


OPERATIONS = [
    file_system.exists,
    file_system.isdir,
    file_system.isfile,
    file_system.makedirs,
    file_system.open_file,
    lambda path: file_system.upload(__file__, path),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_unknown_scheme_is_told_in_one_line(operation):
    with pytest.raises(OSError, match=r"addresses that begin with unknown://.*'unknown://a/b'"):
        operation("unknown://a/b")


ERRORS = {
    tf.errors.PermissionDeniedError(None, None, "403: no\n{more}"): (PermissionError, "403: no"),
    tf.errors.UnauthenticatedError(None, None, "who?"): (PermissionError, "who?"),
    tf.errors.UnavailableError(None, None, "later\n"): (OSError, "later"),
    tf.errors.InternalError(None, None, ""): (OSError, "Input/output error"),
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_of_a_store_are_one_line_with_the_path(error, address, monkeypatch):
    def fails(*_, **__):
        raise error

    for name in ("exists", "stat", "copy"):
        monkeypatch.setattr(tf.io.gfile, name, fails)
    kind, reason = ERRORS[error]
    for operation in (file_system.exists, file_system.isdir, file_system.isfile, OPERATIONS[-1]):
        with pytest.raises(kind) as caught:
            operation(f"{address}/a")
        assert (caught.value.strerror, caught.value.filename) == (reason, f"{address}/a")


def test_paths():
    assert [file_system.is_remote(p) for p in ("gs://b/a", "s3://b", "a://b")] == [True] * 3
    assert not any(map(file_system.is_remote, ("/a", "a", "a:b", "./gs://b", "//a", "C:\\a")))
    assert file_system.absolute("gs://b/a/") == file_system.normalized("gs://b/a/") == "gs://b/a"
    assert file_system.absolute("a/") == os.path.abspath("a")
    assert file_system.normalized("a//b/") == "a/b"


@pytest.mark.parametrize("character", "[]*?\\")
def test_an_address_that_tensorflow_takes_for_a_pattern_is_refused(character):
    with pytest.raises(ValueError, match="use an address without these characters"):
        PlainFolder(f"gs://bucket/lr={character}")
    assert PlainFolder("gs://bucket/lr").path == "gs://bucket/lr"


# Calls of Python that work on local paths only.
LOCAL_ONLY = {
    "os": {"listdir", "makedirs", "mkdir", "remove", "rename", "replace", "rmdir", "scandir"}
    | {"stat", "unlink", "utime", "walk"},
    "os.path": {"abspath", "exists", "getsize", "isdir", "isfile", "ismount", "normpath"}
    | {"realpath"},
    "shutil": {"copyfile", "copytree", "move", "rmtree"},
    "glob": {"glob", "iglob"},
    "pathlib": {"Path"},
    "": {"open"},
}
# Modules that call them, and the paths that they are called with.
MAY = {
    "cli/flags.py": "flag files, and the device null",
    "conversion/to_biggan_pytorch.py": "files in the temporary folder of `new_folder`",
    "data/classes.py": "a file of the package",
    "data/folder.py": "names that TensorFlow cannot read, of a local folder",
    "data/schemes.py": "a file of the package",
    "devices/hardware.py": "files of Linux",
    "evaluation/evaluator.py": "temporary names of `replaced`",
    "evaluation/features/classifier.py": "temporary names of `replaced`",
    "evaluation/features/extraction.py": "temporary names of `replaced`",
    "exporting/converted_files.py": "the temporary folder of `new_folder`",
    "exporting/exporter.py": "the temporary folder of `new_folder`",
    "exporting/hub_model.py": "a temporary folder that is uploaded",
    "exporting/model_card.py": "the temporary folder of `new_folder`",
    "exporting/serving_files.py": "the temporary folder of `new_folder`",
    "generation/inversion.py": "temporary names of `replaced`",
    "pictures/image_output.py": "the unfinished folder, which is always local",
    "pictures/inversions.py": "links of local paths",
    "pictures/model_and_output.py": "links and mounts of local paths",
    "pictures/sheets_and_animations.py": "temporary names of `replaced`",
    "store/hugging_face.py": "the hub's cache",
    "store/model_directory.py": "the temporary folder of `new_folder`",
    "store/opened_model.py": "the temporary folder of `new_folder`",
    "training/logs.py": "temporary names of `replaced`",
    "training/preflight/dry_run.py": "the disk of a local path",
}


def local_calls(path):
    """Returns the calls in a file that work on local paths only."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Attribute, ast.Name)):
            owner, _, name = ast.unparse(node).rpartition(".")
            if name in LOCAL_ONLY.get(owner, ()):
                found.append(f"{owner}.{name}")
    return found


def test_paths_of_users_go_through_the_file_system():
    names = {path.relative_to(ROOT).as_posix(): path for path in ROOT.rglob("*.py")}
    calling = {name for name, path in names.items() if local_calls(path)}
    calling = {name for name in calling if not name.startswith("files/")}
    assert calling == set(MAY)
