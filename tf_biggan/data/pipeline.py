"""The input pipeline: shuffled batches that depend on the data, the seed and their number only.

The images of all epochs form one stream, which the hosts ("shards") share: image n of the stream
goes to shard n % num_shards. A training step thus sees the same images with any number of shards.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.data_settings import DATA_ORDERS
from tf_biggan.cli.terminal import Progress
from tf_biggan.data import decoding, order
from tf_biggan.data.order import Blocks
from tf_biggan.data.record_source import RecordSource
from tf_biggan.data.source import Source

CACHE_LIMIT_BYTES = 1 << 30
# Bytes of pixels that one call decodes from records in memory, and limits for its number of images.
# A call takes time even if its images are small.
PIXEL_BYTES_TOGETHER = 4 << 20
MIN_TOGETHER, MAX_TOGETHER = 16, 256
FULL, BLOCKS = DATA_ORDERS
MAX_SEED = 2**63 - 1


def make_dataset(
    source: Source,
    *,
    image_size: int | tuple[int, int],
    image_channels: int,
    batch_size: int,
    seed: int,
    flip: bool = False,
    start_batch: int = 0,
    shard_index: int = 0,
    num_shards: int = 1,
    cache: bool | None = None,
    data_order: str = FULL,
) -> tf.data.Dataset:
    """Returns an endless data set of shuffled batches of images in [-1, 1] and labels.

    Every epoch contains every image once, in a new order. A batch may span two epochs. Images
    before `start_batch` are skipped without being read.

    Args:
      source: The images.
      image_size: Side of a square, or (height, width), in pixels.
      image_channels: 1 to 4, as in `decoding.decode`.
      batch_size: Number of images of all shards together, a multiple of `num_shards`.
      seed: Seed of the order of images and of the flips.
      flip: Whether each image is flipped horizontally with probability 1/2 in every epoch.
      start_batch: Number of batches that a resumed run has already consumed.
      shard_index: Index of this shard.
      num_shards: Number of shards.
      cache: Whether all images are kept in memory as uint8 at their final size. None: yes, if they
        fit into 1 GiB.
      data_order: "full": a permutation of all images. "blocks": an order that reads long pieces of
        TFRecord files, see `order`.

    Returns:
      (images float32 [B, H, W, C] in [-1, 1], labels int32 [B]), B = batch_size // num_shards. Soft
      labels are float32 [B, num_classes].
      Iterate within `decoding.naming_unreadable`, so that an unreadable image raises a ValueError
      that names the image.

    Raises:
      ValueError: An argument is out of range, the source has no records although `data_order` is
        "blocks", or an image is unreadable while the cache is filled.
    """
    height, width = decoding.size_of(image_size)
    checks.require_integer("image_channels", image_channels, 1, decoding.MAX_CHANNELS)
    checks.require_integer("seed", seed, minimum=0, maximum=MAX_SEED)
    checks.require_integer("start_batch", start_batch, minimum=0)
    _check_shards(batch_size, shard_index, num_shards)

    size = dict(height=height, width=width, channels=image_channels)
    image_bytes = height * width * image_channels
    if cache is None:
        cache = source.num_images * image_bytes <= CACHE_LIMIT_BYTES
    blocks = blocks_of(source, data_order)
    start = start_batch * batch_size
    windows = order.windows(source.num_images, seed, start, blocks, shard_index, num_shards)
    local_batch = batch_size // num_shards
    if cache:
        batches = _from_memory(order.examples(windows), local_batch, _decode_all(source, size))
    elif blocks:
        decode = functools.partial(source.decode, **size)
        batches = _from_records(windows, local_batch, source.read, decode, image_bytes)
    else:
        loaded = source.load_stream(order.examples(windows), **size)
        batches = loaded.rebatch(local_batch, drop_remainder=True)
    with tf.device("CPU:0"):
        labels = tf.constant(source.training_labels)

    def finish(pixels, indices, flips):
        pixels = decoding.flip_where(pixels, flips) if flip else pixels
        return decoding.to_model_range(pixels), tf.gather(labels, indices)

    finished = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # If a data set may end, strategies of several hosts give its batches no static size.
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return finished.prefetch(tf.data.AUTOTUNE).apply(endless).with_options(_options())


def blocks_of(source: Source, data_order: str) -> Blocks | None:
    """Returns the division of an epoch into blocks, or None for the order "full".

    Raises:
      ValueError: The order is unknown, or it is "blocks" and the source has no records.
    """
    checks.require_choice("data_order", data_order, DATA_ORDERS)
    if data_order == FULL:
        return None
    checks.require(
        isinstance(source, RecordSource),
        "--data_order=blocks must be used with records (tfrecord:PATH or tfds:NAME); `prepare`"
        " writes records from a folder of images",
        dataset=source.name,
    )
    return Blocks.of_records(source.num_images, source.record_bytes)


def distribute(
    strategy: tf.distribute.Strategy,
    source: Source,
    *,
    batch_size: int,
    start_batch: int = 0,
    **arguments,
) -> tf.distribute.DistributedDataset | tf.data.Dataset:
    """Returns `make_dataset` distributed over the replicas of a strategy, on one host or several.

    The batch of an accumulation step is the same for any number of replicas, and is split among
    them. Which replica gets which image depends on the number of replicas and hosts.

    Args:
      strategy: The distribution strategy.
      source: The images.
      batch_size: Number of images of all replicas together, a multiple of their number.
      start_batch: Number of batches of `batch_size` images that were already consumed.
      **arguments: Other arguments of `make_dataset`, but not `shard_index` and `num_shards`.

    Returns:
      A distributed data set for `iter` and `strategy.run`.
    """
    replicas = strategy.num_replicas_in_sync
    checks.require(
        batch_size % replicas == 0,
        "`batch_size` must be a multiple of the number of replicas, because each replica"
        " takes the same number of images",
        batch_size=batch_size,
        replicas=replicas,
    )

    def of_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
        hosts = context.num_input_pipelines
        # TensorFlow reads one batch of this data set for each replica of the host.
        draws = replicas // hosts
        return make_dataset(
            source,
            batch_size=batch_size // draws,
            start_batch=start_batch * draws,
            shard_index=context.input_pipeline_id,
            num_shards=hosts,
            **arguments,
        )

    return strategy.distribute_datasets_from_function(of_host)


def part_of_replica(values: tf.Tensor, replica: tf.Tensor, replicas: int, hosts: int) -> tf.Tensor:
    """Returns the values that belong to the images which `distribute` gives to one replica.

    Args:
      values: One value for each image of a batch of all replicas, [B, ...].
      replica: Number of the replica in its strategy, from 0.
      replicas: Number of replicas of all hosts.
      hosts: Number of hosts. Replicas are numbered host by host.

    Returns:
      [B / replicas, ...]
    """
    draws = replicas // hosts
    # A host takes every `hosts`-th image, and each of its replicas in turn takes the next batch.
    parts = tf.reshape(values, (draws, -1, hosts, *values.shape[1:]))
    return parts[replica % draws, :, replica // draws]


def _from_records(
    windows: tf.data.Dataset,
    batch_size: int,
    read: Callable[[tf.Tensor], tf.Tensor],
    decode: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    image_bytes: int,
) -> tf.data.Dataset:
    """Returns batches of images. The next window of records is read while one is decoded."""
    together = min(max(MIN_TOGETHER, PIXEL_BYTES_TOGETHER // image_bytes), MAX_TOGETHER)

    def parts(records, indices, flips):
        rows = tf.data.Dataset.range(tf.size(indices, tf.int64)).batch(together)
        return rows.map(
            lambda rows: tuple(tf.gather(column, rows) for column in (records, indices, flips))
        )

    held = windows.map(lambda indices, flips: (read(indices), indices, flips)).prefetch(1)
    decoded = held.flat_map(parts).map(
        lambda records, indices, flips: (decode(records, indices), indices, flips),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return decoded.rebatch(batch_size, drop_remainder=True)


def _from_memory(stream: tf.data.Dataset, batch_size: int, pixels: np.ndarray) -> tf.data.Dataset:
    # Without this device scope, the images would occupy memory of an accelerator.
    with tf.device("CPU:0"):
        cached = tf.constant(pixels)
    batches = stream.batch(batch_size, drop_remainder=True)
    return batches.map(
        lambda indices, flips: (tf.gather(cached, indices), indices, flips),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _decode_all(source: Source, size: dict[str, int]) -> np.ndarray:
    """Returns all images at their final size, uint8 [N, H, W, C]."""
    indices = tf.data.Dataset.from_tensor_slices((np.arange(source.num_images),))
    decoded = source.load_stream(indices, **size).map(lambda pixels, _: pixels)
    decoded = decoded.prefetch(tf.data.AUTOTUNE).with_options(_options())
    pixels = np.empty([source.num_images, *decoded.element_spec.shape[1:]], np.uint8)
    progress = Progress(f"Reading {source.name}", source.num_images)
    filled = 0
    with decoding.naming_unreadable():
        for block in decoded.as_numpy_iterator():
            pixels[filled : filled + len(block)] = block
            filled += len(block)
            progress.add(len(block))
    progress.close()
    return pixels


def _check_shards(batch_size: int, shard_index: int, num_shards: int) -> None:
    checks.require_integer("batch_size", batch_size, minimum=1)
    checks.require_integer("num_shards", num_shards, minimum=1)
    checks.require_integer("shard_index", shard_index, minimum=0, maximum=num_shards - 1)
    checks.require(
        batch_size % num_shards == 0,
        "`batch_size` must be a multiple of `num_shards`",
        batch_size=batch_size,
        num_shards=num_shards,
    )


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # The stream is already sharded by example; strategies must not shard it again.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
