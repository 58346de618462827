"""Folders of images and the digits: classes and labels that are found, descriptions, and errors."""

import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_biggan.data import decoding as images
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import UNKNOWN_BYTES, Source, check_labels, describe
from tf_biggan.data.tfrecord_writer import write_tfrecords


class LabelsOnly(Source):
    """A data source with labels and without images."""

    def __init__(self, labels, num_classes):
        super().__init__("test", tuple(f"class {c}" for c in range(num_classes)), labels)

    def load(self, index, channels):
        raise NotImplementedError

    def locate(self, index):
        return str(index)


def load_all(source, channels=3):
    dataset = tf.data.Dataset.range(source.num_images).map(lambda i: source.load(i, channels))
    return np.stack(list(dataset.as_numpy_iterator()))


def test_folder_of_classes(image_folder, folder_pixels):
    source = open_source(f"folder:{image_folder}")
    assert source.class_names == ("ant", "bee", "cow")
    assert source.labels.dtype == np.int32
    np.testing.assert_array_equal(source.labels, np.repeat([0, 1, 2], 7))
    np.testing.assert_array_equal(load_all(source), folder_pixels)


def test_folder_without_sub_folders_has_no_classes(image_folder, folder_pixels):
    source = open_source(f"folder:{image_folder}/bee")
    assert (source.num_classes, source.num_images) == (0, 7)
    assert not source.labels.any()
    np.testing.assert_array_equal(load_all(source), folder_pixels[7:14])


def test_brackets_in_the_path(image_folder, folder_pixels, tmp_path):
    shutil.copytree(image_folder, tmp_path / "a[b]*" / "images")
    source = open_source(f"folder:{tmp_path / 'a[b]*' / 'images'}")
    np.testing.assert_array_equal(load_all(source), folder_pixels)
    records = str(tmp_path / "a[b]*" / "records")
    write_tfrecords(source, records, image_size=folder_pixels.shape[1], num_shards=2)
    np.testing.assert_array_equal(load_all(open_source(f"tfrecord:{records}")), folder_pixels)


def test_split_is_a_sub_folder(image_folder):
    assert open_source(f"folder:{image_folder}", split="cow").num_images == 7


def test_every_suffix_is_found_and_other_files_are_not(tmp_path):
    suffixes = [s for s in images.SUFFIXES if s != ".webp" or hasattr(tf.io, "decode_webp")]
    for number, suffix in enumerate(suffixes):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}{suffix.upper()}")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image")
    assert open_source(f"folder:{tmp_path}").num_images == len(suffixes)


def test_what_is_left_out_is_counted_by_suffix_in_one_line(own_folder):
    for number, name in enumerate(("a.tif", "b.TIF", "c.gif", "d.JFIF", "Thumbs.db", "README")):
        image = Image.new("RGB", (4, 4), (number, 0, 0))
        form = {"tif": "TIFF", "gif": "GIF", "jfif": "JPEG"}.get(name.lower()[2:], "PNG")
        image.save(own_folder / "bee" / name, form)
    (own_folder / "labels.csv").write_text("")
    (own_folder / "bee" / "deeper").mkdir()
    source = open_source(f"folder:{own_folder}")
    assert source.num_images == 7  # d.JFIF counts as a JPEG.
    (line,) = [line for line in describe(source) if "Left out" in line]
    assert "2 .tif, 1 .csv, 1 .db, 1 .gif, 1 sub-folders, 1 without suffix. Images end" in line
    assert not [line for line in describe(open_source("digits")) if "Left out" in line]


def test_a_folder_of_no_readable_image_tells_what_it_holds(own_folder):
    for file in (own_folder / "ant").iterdir():
        file.rename(file.with_suffix(".tif"))
    with pytest.raises(ValueError, match=r"holds='3 \.tif'"):
        open_source(f"folder:{own_folder}/ant")
    with pytest.raises(ValueError, match=r"without_images=\['ant \(holds 3 \.tif\)'\]"):
        open_source(f"folder:{own_folder}")


@pytest.mark.parametrize("place", ["ant/\udce9.png", "\udce9", "ant/2.png/\udce9"])
def test_names_that_are_no_utf_8_are_told_in_one_line(own_folder, place):
    # Python represents the byte E9, a Latin-1 letter, as a lone surrogate.
    if place.endswith("2.png/\udce9"):
        opened = f"{own_folder}/\udce9"
    else:
        (own_folder / ("ant/0.png" if "/" in place else "ant")).rename(own_folder / place)
        opened = own_folder
    for kind in ("folder", "tfrecord"):
        if kind == "folder" or "\udce9" in str(opened):
            with pytest.raises(ValueError, match=r"must be UTF-8; rename .*\\xe9") as caught:
                open_source(f"{kind}:{opened}")
            str(caught.value).encode()


def test_digits_are_the_published_ones():
    source = open_source("digits")
    # These counts are in the UCI repository's description of the test part.
    assert source.label_counts().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    pixels = load_all(source, channels=1)
    assert pixels.shape == (1797, 8, 8, 1)
    # The first row of the published file optdigits.tes is 0,0,5,13,9,1,0,0 and shows a zero.
    np.testing.assert_array_equal(
        pixels[0, 0, :, 0], np.round(np.array([0, 0, 5, 13, 9, 1, 0, 0]) * 255 / 16)
    )
    assert source.labels[:3].tolist() == [0, 1, 2]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_digits_have_the_channels_asked_for(channels):
    image = open_source("digits").load(tf.constant(5, tf.int64), channels).numpy()
    assert image.shape == (8, 8, channels)
    if channels in (2, 4):
        assert (image[..., -1] == 255).all()
    assert (image[..., 0] == image[..., (channels - 1) // 2]).all()


def test_description_tells_images_classes_and_counts(image_folder):
    text = "\n".join(describe(open_source(f"folder:{image_folder}")))
    assert "21 images" in text
    assert "3 (ant, bee, cow)" in text
    assert "ant 7, bee 7, cow 7" in text


def test_description_of_many_classes_is_short():
    labels = np.concatenate([np.arange(999), np.zeros(50, int)])
    lines = describe(LabelsOnly(labels, 1000))
    assert max(map(len, lines)) < 150
    assert "fewest 0 (class 999), median 1, most 51 (class 0)" in lines[2]
    assert lines[3] == "Classes without images: 1 (class 999)"


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        ([0, 0, 0], 2, "All images have the same label.*only_label=0"),
        ([0, 1, 5], 5, "from 0 to 4.*largest_label=5"),
        ([-1, 1, 2], 5, "from 0 to 4.*smallest_label=-1"),
        ([0, 1], 1, "from 0 to 0.*largest_label=1"),
        ([0, 1], -1, "num_classes"),
    ],
)
def test_labels_that_cannot_be_trained_on_are_refused(labels, num_classes, message):
    with pytest.raises(ValueError, match=message):
        check_labels(LabelsOnly(np.array(labels), 3), num_classes)


@pytest.mark.parametrize(("labels", "num_classes"), [([0, 4], 5), ([0, 0], 1), ([7, 7], 0)])
def test_labels_that_can_be_trained_on_pass(labels, num_classes):
    check_labels(LabelsOnly(np.array(labels), 3), num_classes)


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("cifar10", "one of the forms digits, tfds:NAME, folder:PATH, tfrecord:PATH.*'cifar10'"),
        ("folder:", "name a folder, not a file"),
        ("folder:/does/not/exist", "folder of images does not exist.*'/does/not/exist'"),
        ("tfrecord:/does/not/exist", "folder of records does not exist.*'/does/not/exist'"),
        ("digits:8", "no path"),
    ],
)
def test_wrong_specifications_are_refused_in_one_line(specification, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_source(specification)
    assert "\n" not in str(caught.value)


def test_digits_have_one_split():
    with pytest.raises(ValueError, match=r"only the split train.*'test'"):
        open_source("digits", split="test")


def test_folder_of_splits_is_not_taken_for_classes(image_folder):
    with pytest.raises(ValueError, match=r"must hold images itself.*without_images"):
        open_source(f"folder:{image_folder.parent}")


def test_empty_class_folder_is_named(own_folder):
    (own_folder / "dog").mkdir()
    with pytest.raises(ValueError, match=r"Each sub-folder is a class.*'dog \(holds nothing\)'"):
        open_source(f"folder:{own_folder}")


def test_images_beside_class_folders_are_refused(own_folder):
    Image.new("RGB", (4, 4)).save(own_folder / "stray.png")
    with pytest.raises(ValueError, match=r"per class; move .*'stray\.png'"):
        open_source(f"folder:{own_folder}")


def test_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds neither images .*\.webp"):
        open_source(f"folder:{tmp_path}")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_that_are_loaded_together_are_those_loaded_alone(tmp_path, image_folder, channels):
    folder = tmp_path / "folder"
    shutil.copytree(image_folder, folder)
    photo = np.random.default_rng(0).integers(0, 256, (31, 20, 3), np.uint8)
    Image.fromarray(photo).save(folder / "ant" / "photo.jpg")
    Image.fromarray(photo[:, :, 0]).save(folder / "cow" / "grey.png")
    mixed = open_source(f"folder:{folder}")
    write_tfrecords(mixed, str(tmp_path / "records"), image_size=12, image_channels=channels)
    for source in (mixed, open_source(f"tfrecord:{tmp_path}/records"), open_source("digits")):
        chosen = np.array([4, 0, 22, 7, 7, 1])
        parts = (source, chosen), (source.select(chosen[::-1]), np.array([3, 0, 5]))
        for images_of, indices in parts:

            def alone(index, images_of=images_of):
                return images.crop_and_resize(images_of.load(index, channels), 12, 12)

            expected = tf.data.Dataset.from_tensor_slices(indices).map(alone)
            together = images_of.load_all(tf.constant(indices), 12, 12, channels)
            np.testing.assert_array_equal(together, list(expected.as_numpy_iterator()))


def test_a_file_that_vanishes_among_others_is_named(tmp_path, image_folder):
    folder = tmp_path / "folder"
    shutil.copytree(image_folder, folder)
    source = open_source(f"folder:{folder}")
    gone = source.locate(5)
    os.remove(gone)
    loaded = tf.data.Dataset.range(9).batch(9).map(lambda rows: source.load_all(rows, 8, 8, 3))
    with pytest.raises(ValueError, match=re.escape(gone)), images.naming_unreadable():
        next(loaded.as_numpy_iterator())


def test_large_photographs_are_loaded_one_by_one(tmp_path):
    random = np.random.default_rng(0)
    for name, side in (("small", 64), ("large", 1400)):
        (tmp_path / name).mkdir()
        for number in range(3):
            pixels = random.integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png", compress_level=0)

    def loaded(source, side=8):
        indices = tf.data.Dataset.range(source.num_images).map(lambda index: (index,))
        return [len(rows) for _, rows in source.load_stream(indices, side, side, 3)]

    small, large = (open_source(f"folder:{tmp_path}/{name}") for name in ("small", "large"))
    assert loaded(small) == [3] and loaded(small, side=800) == [2, 1]
    assert loaded(large) == [1, 1, 1] and loaded(large.select(np.array([1, 2]))) == [1, 1]
    size = os.path.getsize(small.locate(0))
    os.remove(small.locate(1))  # It is named when it is read.
    assert small.encoded_bytes == size
    for number in (0, 2):
        os.remove(small.locate(number))
    assert open_source("digits").encoded_bytes > 0
    del small.encoded_bytes  # the cached value
    assert small.encoded_bytes == UNKNOWN_BYTES


@pytest.mark.parametrize(
    ("encoded_bytes", "cores", "side", "expected"),
    [
        (2_000, 2, 32, (64, 32)),
        (2_000, 64, 32, (64, 64)),
        (2_000, 2, 1024, (1, 32)),
        (100_000, 4, 128, (20, 16)),
        (12_000_000, 2, 128, (1, 2)),
        (12_000_000, 16, 128, (1, 16)),
    ],
)
def test_calls_are_large_and_many_unless_images_are_large(
    encoded_bytes, cores, side, expected, monkeypatch
):
    class Examples:
        def batch(self, together):
            self.together = together
            return self

        def map(self, _, num_parallel_calls, deterministic):
            assert deterministic
            return self.together, num_parallel_calls

    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(Source, "encoded_bytes", encoded_bytes)
    assert open_source("digits").load_stream(Examples(), side, side, 3) == expected


def test_the_size_of_a_record_is_its_share_of_the_file(tmp_path, image_folder):
    write_tfrecords(open_source(f"folder:{image_folder}"), str(tmp_path), image_size=12)
    records = open_source(f"tfrecord:{tmp_path}")
    (shard,) = tmp_path.glob("*.tfrecord")
    share = shard.stat().st_size / records.num_images
    assert records.encoded_bytes == pytest.approx(share, rel=0.1)
    # No two neighbours on disk are selected, so only the whole index has their sizes.
    assert records.select(np.arange(0, 21, 2)).encoded_bytes == records.encoded_bytes
