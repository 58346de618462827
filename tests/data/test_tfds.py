"""Data sets of TensorFlow Datasets: a small prepared one, and messages about missing ones."""

import shutil
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import describe

COUNTS = {"train": 20, "test": 6}


def write(data_dir, name, features, supervised_keys, examples):
    (data_dir / name / "1.0.0").mkdir(parents=True)
    info = tfds.core.DatasetInfo(
        builder=tfds.core.DatasetIdentity(
            name=name, version="1.0.0", data_dir=str(data_dir / name / "1.0.0"), module_name=""
        ),
        features=tfds.features.FeaturesDict(features),
        supervised_keys=supervised_keys,
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=8)
    writer.initialize_splits(list(examples))
    for split, rows in examples.items():
        writer.add_examples({split: rows})
    writer.close_all()


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(1).integers(0, 256, (20, 10, 10, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory, pixels):
    root = tmp_path_factory.mktemp("tfds")
    image = tfds.features.Image(shape=(None, None, 3))
    kinds = tfds.features.ClassLabel(names=["cat", "dog"])
    rows = {
        split: [{"image": pixels[i], "label": i % 2, "coarse": 0} for i in range(count)]
        for split, count in COUNTS.items()
    }
    coarse = tfds.features.ClassLabel(names=["animal"])
    features = {"image": image, "label": kinds, "coarse": coarse}
    write(root, "pets", features, ("image", "label"), rows)
    write(root, "unclear", features, None, rows)
    bare = {"train": [{"image": row["image"]} for row in rows["train"]]}
    write(root, "bare", {"image": image}, None, bare)
    return root


def load_all(source):
    loaded = tf.data.Dataset.range(source.num_images).map(lambda index: source.load(index, 3))
    return np.stack(list(loaded.as_numpy_iterator()))


def test_images_labels_and_names_are_found(data_dir, pixels):
    source = open_source("tfds:pets", data_dir=str(data_dir))
    assert source.class_names == ("cat", "dog")
    assert len(list((data_dir / "pets" / "1.0.0").glob("*train*"))) == 3
    np.testing.assert_array_equal(source.labels, np.arange(20) % 2)
    np.testing.assert_array_equal(load_all(source), pixels)
    assert "20 images" in describe(source)[0]


def test_brackets_in_the_path(data_dir, pixels, tmp_path):
    shutil.copytree(data_dir / "pets", tmp_path / "a[b]" / "pets")
    source = open_source("tfds:pets", data_dir=str(tmp_path / "a[b]"))
    np.testing.assert_array_equal(load_all(source), pixels)


@pytest.mark.parametrize(
    "split",
    [
        "train[:2]+test[4:]",
        *(pytest.param(split, marks=pytest.mark.slow) for split in ("test", "train[5:13]")),
        "train[50%:]",
    ],
)
def test_splits_and_slices_equal_the_librarys_own(data_dir, split):
    source = open_source("tfds:pets", split=split, data_dir=str(data_dir))
    expected = list(tfds.as_numpy(tfds.load("pets", split=split, data_dir=str(data_dir))))
    np.testing.assert_array_equal(source.labels, [row["label"] for row in expected])
    np.testing.assert_array_equal(load_all(source), [row["image"] for row in expected])


def test_images_without_a_class_are_unconditional(data_dir):
    source = open_source("tfds:bare", data_dir=str(data_dir))
    assert (source.num_classes, source.num_images) == (0, 20)


def test_damaged_records_are_named(data_dir, tmp_path):
    broken = tmp_path / "pets" / "1.0.0"
    broken.mkdir(parents=True)
    for file in (data_dir / "pets" / "1.0.0").iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    shard = sorted(broken.glob("*train*"))[1]
    shard.write_bytes(shard.read_bytes()[:-30])
    with pytest.raises(ValueError, match=shard.name):
        open_source("tfds:pets", data_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("cifar10", None, "is not prepared .* add --download.*looked_in="),
        ("cifar11", None, "similar names: cifar10"),
        ("qqqqqqqqqqq", None, "no similar name"),
        (
            "pets",
            "valid",
            "its splits are test, train.*'valid'|its splits are train, test.*'valid'",
        ),
        ("pets:9.9.9", None, "has no data set"),
        ("unclear", None, "several class features.*'label', 'coarse'|'coarse', 'label'"),
    ],
)
def test_what_is_not_there_is_said_in_one_line_and_at_once(data_dir, name, split, message):
    start = time.monotonic()
    with pytest.raises(ValueError, match=message) as caught:
        open_source(f"tfds:{name}", split=split, data_dir=str(data_dir))
    assert time.monotonic() - start < 5
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_failed_download_is_one_line(data_dir, monkeypatch):
    def fail(self):
        raise OSError("no route to host\nand a long story")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(
        ValueError, match=r"Cannot download and prepare tfds:cifar10.*OSError: no route"
    ) as caught:
        open_source("tfds:cifar10", data_dir=str(data_dir), download=True)
    assert "\n" not in str(caught.value)


def test_records_can_be_read_in_any_order(data_dir, pixels):
    source = open_source("tfds:pets", data_dir=str(data_dir))
    order = np.random.default_rng(2).permutation(20)
    loaded = tf.data.Dataset.from_tensor_slices(order).map(lambda index: source.load(index, 3))
    np.testing.assert_array_equal(np.stack(list(loaded.as_numpy_iterator())), pixels[order])
