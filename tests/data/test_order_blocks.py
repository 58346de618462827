"""The order in blocks: one case by hand, and how well it mixes beside a full permutation."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.data import order
from tf_biggan.data.order import Blocks, block_order

EPOCH = tf.constant(0, tf.int64)
# A data set that is sorted by class, as `prepare` writes it from class folders.
NUM_IMAGES, NUM_CLASSES, BATCH = 120_000, 1000, 256
SORTED = Blocks(windows=4)
RECORDED = [90, 86, 41, 51, 73]


def test_a_case_by_hand():
    # Strata 0-3 and 4-7 of two blocks each: (0 1) (2 3) and (4 5) (6 7).
    # Window keys: of stratum 0, the second block has the smaller number and goes to window 0; of
    # stratum 1, the first. Window 0 holds (2 3) and (4 5), window 1 holds (0 1) and (6 7).
    # Block keys: (4 5) before (2 3), and (0 1) before (6 7): 4 5 2 3 and 0 1 6 7.
    # Two lanes: 4 5 at even places and 2 3 at odd ones; 0 1 and 6 7. Image keys: places 0 and 2 in
    # falling order, 1 and 3 in rising order, 4 and 6 rising, 5 and 7 falling.
    found, bounds = block_order(
        8,
        Blocks(windows=2, strata=2, lanes=2),
        tf.constant([5, 1, 2, 7]),
        tf.constant([1, 9, 3, 6]),
        tf.constant([8, 1, 7, 2, 3, 6, 4, 5]),
    )
    assert found.numpy().tolist() == [5, 2, 4, 3, 0, 7, 1, 6]
    assert bounds.numpy().tolist() == [0, 4, 8]


@pytest.mark.parametrize("num_images", [1, 5, 1000, 1023])
@pytest.mark.parametrize("windows", [1, 3])
def test_every_image_once_an_epoch(num_images, windows):
    shuffled, _, bounds = order.epoch_order(num_images, 7, EPOCH, Blocks(windows, 16, 4))
    np.testing.assert_array_equal(np.sort(shuffled), np.arange(num_images))
    assert bounds[0] == 0 and bounds[-1] == num_images and len(bounds) == windows + 1


def test_blocks_have_about_the_bytes_of_a_long_read():
    # 15.4 GB in windows of 1 GiB; a block has 89 images, 1.07 MB.
    blocks = Blocks.of_records(1_281_167, 12_000)
    assert (blocks.windows, blocks.count) == (14, 14 * 1024)
    assert Blocks.of_records(100, 12_000).windows == 1


@pytest.fixture(scope="module")
def orders():
    return {
        name: order.epoch_order(NUM_IMAGES, 0, EPOCH, blocks)[0].numpy()
        for name, blocks in (("full", None), ("blocks", SORTED))
    }


@pytest.fixture(scope="module")
def batches(orders):
    whole = NUM_IMAGES // BATCH * BATCH
    return {name: found[:whole].reshape(-1, BATCH) for name, found in orders.items()}


@pytest.mark.parametrize("name", ["full", "blocks"])
def test_batches_have_as_many_classes_as_of_random_images(batches, name):
    """The expectation is that of drawing with replacement; one batch's deviation is below 6."""
    classes = batches[name] // (NUM_IMAGES // NUM_CLASSES)
    counts = np.array([len(np.unique(batch)) for batch in classes])
    expected = NUM_CLASSES * (1 - (1 - 1 / NUM_CLASSES) ** BATCH)
    # 226 classes. Without replacement there are 0.03 more; 468 batches have a mean of +-0.3.
    assert abs(counts.mean() - expected) < 2
    assert counts.min() > expected - 36


@pytest.mark.parametrize("name", ["full", "blocks"])
def test_neighbours_in_a_batch_are_far_apart_on_disk(batches, name):
    distances = np.abs(np.diff(batches[name], axis=1)).ravel() / NUM_IMAGES
    # |U - V| of two uniform places: mean 1/3, deviation 0.24; and P(|U - V| < d) = 2d - d^2.
    assert abs(distances.mean() - 1 / 3) < 0.01
    near = 10 / NUM_IMAGES
    assert (distances <= near).mean() < 2 * (2 * near) + 1e-3


def test_every_window_has_images_from_everywhere(orders):
    _, _, bounds = order.epoch_order(NUM_IMAGES, 0, EPOCH, SORTED)
    for begin, end in itertools.pairwise(bounds.numpy()):
        counts = np.bincount(orders["blocks"][begin:end] * SORTED.strata // NUM_IMAGES)
        # A quarter of each stratum of 117 or 118 images.
        assert len(counts) == SORTED.strata and set(counts) <= {29, 30}


@pytest.mark.parametrize("num_hosts", [2, 8])
def test_hosts_read_their_share_alone(orders, num_hosts):
    _, _, bounds = order.epoch_order(NUM_IMAGES, 0, EPOCH, SORTED)
    pieces = 0
    for begin, end in itertools.pairwise(bounds.numpy()):
        for host in range(num_hosts):
            images = np.sort(orders["blocks"][begin:end][host::num_hosts])
            pieces += 1 + int((np.diff(images) != 1).sum())
    # Each window's cuts between lanes add at most one piece a lane to the 1,024 blocks.
    assert pieces <= SORTED.count + SORTED.windows * SORTED.lanes


def columns(count, start=0, shard=0, num_shards=1):
    """Images and flips of the first windows from a start, each joined to one array."""
    windows = order.windows(101, 3, start, Blocks(3, 8, 4), shard, num_shards).take(count)
    return [np.concatenate(column) for column in zip(*windows.as_numpy_iterator(), strict=True)]


def test_the_stream_from_anywhere_is_the_tail_of_the_whole():
    whole = columns(12)
    # Starts within the first window of an epoch, and at the end of one window of another.
    for start, shard, num_shards in ((7, 0, 1), (135, 0, 3), (135, 2, 3)):
        for found, column in zip(columns(5, start, shard, num_shards), whole, strict=True):
            expected = column[start + shard :: num_shards][: len(found)]
            np.testing.assert_array_equal(found, expected)


def test_the_numbers_stay_what_they_are():
    # Recorded once: runs of an earlier version must be continued with the same order.
    found, _, _ = order.epoch_order(101, 0, EPOCH, Blocks(3, 8, 4))
    assert found[:5].numpy().tolist() == RECORDED
