"""The order of examples: each epoch is a permutation that does not depend on where a run starts."""

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.data import order

NUM_IMAGES = 101
RECORDED = [93, 50, 3, 22, 56]


def permutation(seed, epoch):
    return order.epoch_order(NUM_IMAGES, seed, tf.constant(epoch, tf.int64))[0].numpy()


def coins(num_images, epoch):
    return order.epoch_order(num_images, 5, tf.constant(epoch, tf.int64))[1].numpy()


@pytest.mark.parametrize("epoch", [0, 1, 10**6])
def test_every_image_once_an_epoch(epoch):
    np.testing.assert_array_equal(np.sort(permutation(7, epoch)), np.arange(NUM_IMAGES))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {permutation(seed, epoch).tobytes() for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_orders_are_not_shifts_of_each_other():
    # Independent permutations agree in about one position. They exceed the bound once in 10**8
    # cases.
    places = [
        int((permutation(7, epoch) == permutation(7, epoch + 1)).sum()) for epoch in range(20)
    ]
    assert max(places) < 12


def test_an_image_stands_anywhere_over_the_epochs():
    places = [int(np.argmax(permutation(7, epoch) == 0)) for epoch in range(200)]
    counts, _ = np.histogram(places, bins=4, range=(0, NUM_IMAGES))
    # The expected number in each quarter is 50, with a standard deviation of 6.1.
    assert counts.min() > 20 and counts.max() < 80


def test_half_of_the_places_are_mirrored_anew_each_epoch():
    first, second = coins(10_000, 0), coins(10_000, 1)
    # The expected number is 5,000, with a standard deviation of 50.
    assert 4_700 < first.sum() < 5_300
    assert 4_700 < (first != second).sum() < 5_300


def test_mirroring_is_independent_of_the_order():
    shuffled, mirrored, _ = order.epoch_order(10_000, 5, tf.constant(0, tf.int64))
    early = np.argsort(shuffled.numpy()) < 5_000
    # The expected number is 2,500, with a standard deviation of 35.
    assert 2_250 < (early & mirrored.numpy()).sum() < 2_750


@pytest.mark.parametrize("start", [0, 1, 100, 101, 102, 350])
def test_the_stream_from_anywhere_is_the_tail_of_the_whole(start):
    whole = list(order.examples(order.windows(NUM_IMAGES, 3, 0)).take(400).as_numpy_iterator())
    tail = list(
        order.examples(order.windows(NUM_IMAGES, 3, start)).take(400 - start).as_numpy_iterator()
    )
    assert tail == whole[start:]


def test_the_numbers_stay_what_they_are():
    # Recorded numbers: runs of earlier versions must resume with the same order.
    assert permutation(0, 0)[:5].tolist() == RECORDED
