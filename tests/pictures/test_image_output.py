"""Sets of images on disk: resuming, other requests, damaged leftovers and full disks."""

from __future__ import annotations

import errno
import json
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.killed_files import Killed, KilledFiles, every_moment
from tf_biggan.files.png import to_uint8
from tf_biggan.pictures.image_output import (
    ImageArchive,
    ImageFolder,
    remove_unfinished,
    write_images,
)
from tf_biggan.pictures.image_selection import ImageSelection
from tf_biggan.store.opened_model import OpenedModel

COUNT, ROWS, SHAPE = 11, 3, (4, 5, 3)
TARGETS = {"set.npz": ImageArchive, "set": ImageFolder}
NAMES = ("tench, Tinca tinca", "a/b c", "7")


class Network:
    """An object with the sizes of a generator."""

    image_size, image_channels, num_classes = SHAPE[:2], SHAPE[2], 3


class Maker:
    """An `ImageMaker` whose images show seed and label, and which can stop after some batches."""

    global_batch_size = ROWS

    def __init__(self, most=None, error=KeyboardInterrupt):
        self.most, self.error, self.made = most, error, []

    def sampled_batches(self, seeds, indices, conditions, truncation):
        for start in range(0, len(seeds), ROWS):
            if len(self.made) == self.most:
                raise self.error
            part = slice(start, start + ROWS)
            self.made.append(seeds[part].tolist())
            yield pixels(seeds[part], conditions[part])


def pixels(seeds, labels):
    values = (np.asarray(seeds) + 20 * np.asarray(labels)) / 127.5 - 1
    return np.broadcast_to(values[:, None, None, None], (len(seeds), *SHAPE)).astype(np.float32)


def wanted(count=COUNT, seeds=None):
    seeds = np.arange(count) if seeds is None else np.array(seeds)
    labels = (np.arange(len(seeds)) % 3).astype(np.int32)
    return ImageSelection(seeds, labels, None, 10, None, {})


def target(path, images=None, names=NAMES, **description):
    opened = OpenedModel(Network(), names, "model", {"path": "m"}, "m")
    images = images or wanted()
    return TARGETS[path.name](
        str(path), images, opened, {"model": "m", "bn": "table"} | description
    )


def run(path, maker=None, images=None, **description):
    images = images or wanted()
    return write_images(target(path, images, **description), images, maker or Maker(), None)


def content(path):
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*.png")}


@pytest.fixture(params=TARGETS)
def path(request, tmp_path):
    return tmp_path / request.param


def test_what_stops_anywhere_ends_as_if_it_had_not(path):
    whole = path.parent / "whole"
    whole.mkdir()
    assert run(whole / path.name) == f"Written: 11 images in {whole / path.name}"
    for most in (0, 1, 2):
        maker = Maker(most)
        with pytest.raises(KeyboardInterrupt):
            run(path, maker)
        assert not path.exists() and len(maker.made) == most
    last = Maker()
    run(path, last)
    assert last.made == [[9, 10]]
    assert content(path) == content(whole / path.name)
    assert not (path.parent / f"{path.name}.unfinished").exists()


def test_halves_of_writes_that_were_killed_are_made_again(path):
    with pytest.raises(KeyboardInterrupt):
        run(path, Maker(2))
    folder = path.parent / f"{path.name}.unfinished"
    if path.name == "set":
        # An image is renamed when it is complete, so a killed write leaves only a temporary file.
        next(folder.rglob("*seed0005.png")).rename(folder / "seed0005.png.1.tmp")
    else:
        content = (folder / "images.npy").read_bytes()
        (folder / "images.npy").write_bytes(content[:-7])
    maker = Maker()
    run(path, maker)
    assert maker.made[0] == [3, 4, 5]
    assert not list(path.parent.rglob("*.tmp"))
    if path.name == "set":
        assert len(list(path.rglob("*.png"))) == COUNT
    else:
        np.testing.assert_array_equal(np.load(path)["arr_0"][5], to_uint8(pixels([5], [2]))[0])


def test_a_command_killed_at_any_change_of_a_file_goes_on(path):
    whole = path.parent / "whole"
    whole.mkdir()
    run(whole / path.name)
    place = lambda moment: path.parent / str(moment) / path.name  # noqa: E731

    def killed(moment):
        place(moment).parent.mkdir()
        run(place(moment))

    count = 0
    for moment in every_moment(killed):
        run(place(moment))
        assert content(place(moment)) == content(whole / path.name), moment
        assert os.listdir(place(moment).parent) == [path.name], moment
        count += 1
    assert count > 20


def test_what_a_killed_removal_left_is_nobody_elses(path):
    """The request is removed last, so the folder stays recognisable."""
    with pytest.raises(KeyboardInterrupt):
        run(path, Maker(2))
    folder = f"{path}.unfinished"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        KilledFiles(patch, 1)
        remove_unfinished(str(path))
    assert os.path.exists(os.path.join(folder, "request.json"))
    run(path)
    assert os.listdir(path.parent) == [path.name]


def test_another_request_is_told_apart_before_and_after(path):
    with pytest.raises(KeyboardInterrupt):
        run(path, Maker(1))
    with pytest.raises(
        ValueError, match=r"sampled with other settings.*bn was \"table\" and is \"batch\" now"
    ):
        run(path, bn="batch")
    with pytest.raises(ValueError, match=r"num_images was 11 and is 12 now"):
        run(path, images=wanted(12))
    # The path of the model makes no difference.
    run(path, Maker(), model="elsewhere", software="newer")
    maker = Maker()
    assert run(path, maker) == f"Already complete: {path}" and not maker.made
    before = content(path)
    with pytest.raises(
        ValueError, match=r"sampled with other settings.*truncation was null and is 0.5 now"
    ):
        run(path, truncation=0.5)
    assert content(path) == before


def test_a_full_disk_keeps_what_there_is(path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(
        ValueError,
        match=r"No space left on device\. .*run the same command",
    ):
        run(path, Maker(2, full))
    assert not path.exists()
    maker = Maker()
    run(path, maker)
    assert maker.made[0][0] == 6


def test_other_peoples_files_stay(path):
    if path.name == "set":
        path.mkdir()
        (path / "letter.txt").write_text("dear")
    else:
        np.savez(path, x=np.zeros(3))
    with pytest.raises(ValueError, match=r"must be a new|exists and was not written"):
        run(path)
    other = path.parent / "sub" / path.name
    (other.parent / f"{path.name}.unfinished").mkdir(parents=True)
    (other.parent / f"{path.name}.unfinished" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="unfinished folder contains other files"):
        run(other)


def test_an_archive_is_read_by_name_and_holds_its_description(tmp_path):
    run(tmp_path / "set.npz", truncation=0.5)
    with np.load(tmp_path / "set.npz", allow_pickle=False) as stored:
        assert set(stored.files) == {"arr_0", "arr_1", "description"}
        expected = to_uint8(pixels(np.arange(COUNT), np.arange(COUNT) % 3))
        np.testing.assert_array_equal(stored["arr_0"], expected)
        assert stored["arr_1"].tolist() == (np.arange(COUNT) % 3).tolist()
        told = json.loads(str(stored["description"]))
    assert told["truncation"] == 0.5 and told["num_images"] == COUNT
    # Other users may read the extracted files.
    with zipfile.ZipFile(tmp_path / "set.npz") as archive:
        assert {member.external_attr >> 16 for member in archive.infolist()} == {0o644}


def test_a_folder_names_classes_so_that_they_sort_and_seeds_in_full(tmp_path):
    run(tmp_path / "set", images=wanted(seeds=[0, 12345, 2]))
    files = sorted(str(p.relative_to(tmp_path / "set")) for p in tmp_path.rglob("*.png"))
    assert files == ["0-tench/seed00000.png", "1-a_b_c/seed12345.png", "2-7/seed00002.png"]
    with Image.open(tmp_path / "set" / "1-a_b_c" / "seed12345.png") as image:
        assert image.text["class"] == "1 a/b c" and image.text["seed"] == "12345"
        np.testing.assert_array_equal(np.asarray(image), to_uint8(pixels([12345], [1]))[0])
    assert json.loads((tmp_path / "set" / "request.json").read_text())["num_images"] == 3


def test_a_folder_cannot_hold_an_image_twice(tmp_path):
    twice = wanted(seeds=[4, 0, 0, 4])
    with pytest.raises(ValueError, match="select an image twice"):
        target(tmp_path / "set", twice, seeds="0,4")
    assert os.listdir(tmp_path) == []
