"""Held-out images: which they are, and that no epoch of training ever reads one."""

import itertools

import numpy as np
import pytest

from tests.data.test_pipeline import InMemory
from tf_biggan.data.held_out import divide, held_out_images
from tf_biggan.data.order import Blocks
from tf_biggan.data.pipeline import make_dataset
from tf_biggan.data.schemes import open_source
from tf_biggan.data.tfrecord_writer import write_tfrecords

SHARE = 0.3
BATCH = 10


@pytest.fixture(scope="module")
def sources(image_folder, folder_pixels, tmp_path_factory):
    """Returns the 21 images of three classes as each kind of source."""
    output = str(tmp_path_factory.mktemp("records"))
    folder = open_source(f"folder:{image_folder}")
    write_tfrecords(folder, output, image_size=12, num_shards=2)
    records = open_source(f"tfrecord:{output}")
    return {"folder": folder, "records": records, "memory": InMemory(folder_pixels)}


def test_a_case_by_hand():
    labels = np.array([1, 0, 0, 1, 0, 0, 1, 2, 1])
    keys = np.array([5, 3, 9, 1, 7, 4, 2, 0, 8])
    # Class 0 by its keys: images 1, 5, 4, 2; class 1: 3, 6, 0, 8. Image 7 is the only one of its
    # class and stays. Of the sequence 1 5 4 2 3 6 0 8, every fourth is held out from the second on.
    held_out = held_out_images(labels, 0.25, keys)
    assert np.flatnonzero(held_out).tolist() == [5, 6]
    # With a half, every second is held out, from the first on.
    assert np.flatnonzero(held_out_images(labels, 0.5, keys)).tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize("share", [0.01, 0.1, 1 / 3, 0.5])
def test_every_class_gives_its_share_and_keeps_an_image(share):
    random = np.random.default_rng(0)
    labels = np.r_[random.integers(0, 300, 20_000), np.repeat([300, 301], [1, 2])]
    held_out = held_out_images(labels, share, random.random(len(labels)))
    assert held_out.sum() == round(share * (len(labels) - 1))
    counts, given = np.bincount(labels), np.bincount(labels[held_out], minlength=302)
    assert (abs(given - share * counts) < 1).all() and (given < counts).all()


def test_the_choice_depends_on_seed_and_index():
    labels = open_source("digits").labels
    first, again, other = (divide(open_source("digits"), 0.1, seed) for seed in (3, 3, 4))
    places = [
        {division.held_out.locate(index) for index in range(division.held_out.num_images)}
        for division in (first, again, other)
    ]
    assert places[0] == places[1] and len(places[0]) == 180
    # By chance, a tenth of the held-out images of another seed are the same.
    assert len(places[0] & places[2]) < 40
    assert np.bincount(first.held_out.labels).tolist() == [18] * 10
    total = first.held_out.label_counts() + first.training.label_counts()
    assert (total == np.bincount(labels)).all()
    # A run that resumes with a later version must hold out the same images.
    found = [int(first.held_out.locate(i).split()[-1]) for i in range(8)]
    assert found == [1, 16, 19, 25, 30, 34, 38, 41]


def batches(source, count, **overrides):
    arguments = dict(image_size=12, image_channels=3, batch_size=BATCH, seed=5)
    dataset = make_dataset(source, **{**arguments, **overrides})
    drawn = list(itertools.islice(dataset.as_numpy_iterator(), count))
    return np.stack([x for x, _ in drawn]), np.stack([y for _, y in drawn])


@pytest.mark.parametrize(
    "kind, data_order, cache",
    [("memory", "full", True), ("folder", "full", False), ("records", "blocks", False)],
)
def test_training_sees_every_other_image_once_an_epoch_and_no_held_out_one(
    sources, folder_pixels, monkeypatch, kind, data_order, cache
):
    # Several windows, so that the order in blocks differs from a permutation.
    division = Blocks(windows=3, strata=2, lanes=2)
    monkeypatch.setattr(Blocks, "of_records", lambda num_images, record_bytes: division)
    parts = divide(sources[kind], SHARE, seed=5)
    held_out = np.flatnonzero(held_out_of(sources[kind], parts))
    assert len(held_out) == 6 and np.bincount(held_out // 7).tolist() == [2, 2, 2]
    # Four epochs of 15 images.
    images, labels = batches(parts.training, 6, data_order=data_order, cache=cache)
    levels = np.round((images.reshape(4, 15, 12, 12, 3).astype(np.float64) + 1) * 127.5)
    known = {pixels.tobytes(): index for index, pixels in enumerate(folder_pixels)}
    for epoch, of_epoch in zip(levels.astype(np.uint8), labels.reshape(4, 15), strict=True):
        found = np.array([known[image.tobytes()] for image in epoch])
        assert sorted(found) == sorted(set(range(21)) - set(held_out))
        np.testing.assert_array_equal(of_epoch, found // 7)


@pytest.mark.parametrize("host", [0, 1])
def test_two_hosts_and_resumed_runs_see_the_same_images(sources, host):
    training = divide(sources["memory"], SHARE, seed=5).training
    images, labels = batches(training, 5)
    resumed_host = dict(start_batch=2, shard_index=host, num_shards=2)
    own_images, own_labels = batches(training, 3, **resumed_host)
    np.testing.assert_array_equal(own_images, images[2:, host::2])
    np.testing.assert_array_equal(own_labels, labels[2:, host::2])


def held_out_of(source, parts):
    """Returns which images of a source are held out, by the places of the images."""
    places = [parts.held_out.locate(index) for index in range(parts.held_out.num_images)]
    return np.array([source.locate(index) in places for index in range(source.num_images)])


@pytest.mark.parametrize("kind", ["folder", "records", "memory"])
def test_selected_images_keep_their_pixels_and_their_renamed_classes(sources, folder_pixels, kind):
    renamed = sources[kind].with_classes(("cow", "bee", "ant"), (2, 1, 0))
    indices = np.array([0, 8, 20])
    chosen = renamed.select(indices)
    assert (chosen.num_images, chosen.labels.tolist()) == (3, [2, 1, 0])
    assert chosen.class_names == ("cow", "bee", "ant")
    assert [chosen.locate(i) for i in range(3)] == [renamed.locate(int(i)) for i in indices]
    np.testing.assert_array_equal(chosen.load(1, 3), folder_pixels[8])


def test_a_share_of_nothing_is_refused_and_no_share_changes_nothing(sources):
    with pytest.raises(ValueError, match=r"hold out at least one image.*held_out_share=0.01"):
        divide(sources["memory"], 0.01, 0)
    parts = divide(sources["memory"], 0.0, 0)
    assert parts.training is parts.whole is sources["memory"] and parts.held_out is None
    assert "Held out" not in " ".join(parts.describe())
    lines = divide(sources["memory"], SHARE, 0).describe()
    assert lines[0] == "Data set memory: 21 images"
    assert lines[-1] == "Held out of training: 6 of 21 images, from 3 of 3 classes"
