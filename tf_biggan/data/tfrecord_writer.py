"""Writes a data set as TFRecord shards at one resolution. Interrupted writes can be resumed.

A shard is written under a temporary name and then renamed, so a shard with its final name is
complete. dataset.json is written last, so a folder without it is unfinished. Files are handled by
`tf.io.gfile`, because the folder may be in a bucket.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Iterable

import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.image_sizes import height_and_width
from tf_biggan.cli.prepare_settings import PrepareConfig
from tf_biggan.cli.terminal import Progress
from tf_biggan.data import decoding, tfrecord
from tf_biggan.data.record_source import RecordIndex, scan
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import Source, describe, label_bytes
from tf_biggan.files.json_files import describe_differences

ENCODERS = {
    "png": lambda pixels: tf.io.encode_png(pixels),
    "jpeg": lambda pixels: tf.io.encode_jpeg(pixels, quality=95, chroma_downsampling=False),
}
JPEG_CHANNELS = (1, 3)
SHARD_PIXEL_BYTES = 256 << 20
SETTINGS_FILE = "unfinished.json"
TEMPORARY_SUFFIX = ".tmp"


def prepare(config: PrepareConfig) -> None:
    """Writes a data set as TFRecord files, or resumes an interrupted call. See `PrepareConfig`.

    Raises:
      ValueError: The images cannot be read, or the output was written with other settings.
    """
    config.require_given()
    opened = open_source(
        config.source, split=config.split, data_dir=config.data_dir, download=config.download
    )
    print(*describe(opened), sep="\n")
    description = write_tfrecords(
        opened,
        config.output,
        image_size=height_and_width(config.resolution),
        image_channels=config.image_channels,
        image_format=config.format,
        num_shards=config.num_shards,
        num_workers=config.num_workers,
    )
    count = len(description["shards"])
    print(
        f"Wrote {description['num_images']:,} images in {count} file{'s' * (count > 1)}."
        f" Train with --dataset=tfrecord:{config.output}"
    )


def write_tfrecords(
    source: Source,
    output: str,
    *,
    image_size: int | tuple[int, int],
    image_channels: int = 3,
    image_format: str = "png",
    num_shards: int | None = None,
    num_workers: int | None = None,
) -> dict:
    """Writes a data set to the folder `output`, which `tfrecord:OUTPUT` opens.

    After an interruption, finished shards are kept. If the folder is finished, only missing files
    are written. The hash `content_sha256` in dataset.json depends on the records and their order,
    but not on their division into shards.

    Args:
      source: The images.
      output: Folder to write.
      image_size: Side of a square, or (height, width), in pixels.
      image_channels: 1 to 4, as in `decoding.decode`.
      image_format: "png" keeps every pixel; "jpeg" is smaller (quality 95, full chroma).
      num_shards: Number of files. Default: one for every 256 MiB of pixels.
      num_workers: Number of images processed in parallel. Default: chosen by TensorFlow.

    Returns:
      The content of dataset.json.

    Raises:
      ValueError: An argument is out of range, an image is unreadable, or `output` holds records
        with other settings. The message names the image or the settings.
    """
    settings = _settings(source, image_size, image_channels, image_format, num_shards)
    checks.require_integer("num_workers", 1 if num_workers is None else num_workers, minimum=1)
    _require_writable(output)
    finished = _read_json(output, tfrecord.DESCRIPTION_FILE)
    _require_same_settings(output, settings, finished or _read_json(output, SETTINGS_FILE))
    _remove_left_behind(output, settings, finished)
    if finished and _is_whole(output):
        return finished
    _write(output, SETTINGS_FILE, _to_json(settings))
    _write_shards(source, output, settings, num_workers or tf.data.AUTOTUNE)
    return _finish(output, settings)


def _settings(
    source: Source, image_size, image_channels: int, image_format: str, num_shards: int | None
) -> dict:
    height, width = decoding.size_of(image_size)
    checks.require_integer("image_channels", image_channels, 1, decoding.MAX_CHANNELS)
    checks.require_choice("image_format", image_format, tuple(ENCODERS))
    checks.require(
        image_format != "jpeg" or image_channels in JPEG_CHANNELS,
        "JPEG images have 1 or 3 channels; use PNG (--format=png) for other numbers of channels",
        image_channels=image_channels,
    )
    if num_shards is None:
        pixel_bytes = source.num_images * height * width * image_channels
        num_shards = -(-pixel_bytes // SHARD_PIXEL_BYTES)
    checks.require_integer("num_shards", num_shards, minimum=1, maximum=source.num_images)
    return {
        "format_version": (
            tfrecord.FORMAT_VERSION if source.soft_labels is None else tfrecord.SOFT_FORMAT_VERSION
        ),
        "source": source.name,
        "source_sha256": _fingerprint(source),
        "num_images": source.num_images,
        "image_height": height,
        "image_width": width,
        "image_channels": image_channels,
        "image_format": image_format,
        "crop": decoding.CROP_METHOD,
        "resize": decoding.RESIZE_METHOD,
        "num_classes": source.num_classes,
        "class_names": list(source.class_names),
        "label_counts": source.label_counts().tolist(),
        "shards": [tfrecord.shard_name(shard, num_shards) for shard in range(num_shards)],
    }


def _fingerprint(source: Source) -> str:
    """Returns a SHA-256 of all labels, and of where each image is stored."""
    digest = hashlib.sha256(label_bytes(source))
    for index in range(source.num_images):
        digest.update(source.locate(index).encode() + b"\0")
    return digest.hexdigest()


def _require_writable(output: str) -> None:
    try:
        tf.io.gfile.makedirs(output)
    except tf.errors.OpError as error:
        raise ValueError(
            f"Cannot write to the folder {output!r}: {error.message}. Choose another --output"
            " or free disk space."
        ) from None


def _require_same_settings(output: str, settings: dict, existing: dict | None) -> None:
    if existing is None:
        return
    differing = describe_differences(existing, settings, settings)
    checks.require(
        not differing,
        "`output` holds records that were written with other settings; use the same settings"
        " or another `output`",
        output=output,
        differing=differing,
    )


def _write_shards(source: Source, output: str, settings: dict, workers: int) -> None:
    shards = settings["shards"]
    bounds = [source.num_images * shard // len(shards) for shard in range(len(shards) + 1)]
    missing = [
        (place, first, end)
        for place, (first, end) in zip(
            _places(output, settings), itertools.pairwise(bounds), strict=True
        )
        if not tf.io.gfile.exists(place)
    ]
    left = sum(end - first for _, first, end in missing)
    progress = Progress("Preparing", source.num_images, done=source.num_images - left)
    if missing:
        # With one stream for all shards, the workers need not wait while a shard is closed.
        encoded = _encoded(source, missing, settings, workers).as_numpy_iterator()
        for place, first, end in missing:
            # Labels come first, so that zip ends before it reads an image of the next shard.
            labels = source.training_labels[first:end].tolist()
            labelled = zip(labels, encoded, strict=False)
            _write_shard(place, labelled, progress)
    progress.close()


def _places(output: str, settings: dict) -> tuple[str, ...]:
    return tuple(tf.io.gfile.join(output, name) for name in settings["shards"])


def _write_shard(
    place: str, labelled: Iterable[tuple[int | list[float], bytes]], progress: Progress
) -> None:
    temporary = place + TEMPORARY_SUFFIX
    try:
        with tf.io.TFRecordWriter(temporary) as writer, decoding.naming_unreadable():
            for label, contents in labelled:
                writer.write(tfrecord.serialize(contents, label))
                progress.add(1)
    except BaseException:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.remove(temporary)
        raise
    tf.io.gfile.rename(temporary, place, overwrite=True)


def _encoded(source: Source, missing: list, settings: dict, workers: int) -> tf.data.Dataset:
    """Returns the encoded images of the missing shards at their final size, in order."""
    encode = ENCODERS[settings["image_format"]]

    def process(index):
        pixels = source.load(index, settings["image_channels"])
        height, width = settings["image_height"], settings["image_width"]
        return encode(decoding.crop_and_resize(pixels, height, width))

    ranges = tf.constant([(first, end) for _, first, end in missing], tf.int64)
    indices = tf.data.Dataset.from_tensor_slices(ranges).flat_map(
        lambda bounds: tf.data.Dataset.range(bounds[0], bounds[1])
    )
    encoded = indices.map(process, num_parallel_calls=workers, deterministic=True)
    return encoded.prefetch(tf.data.AUTOTUNE)


def _finish(output: str, settings: dict) -> dict:
    files = _places(output, settings)
    label_of = tfrecord.label_of
    if settings["format_version"] == tfrecord.SOFT_FORMAT_VERSION:
        label_of = functools.partial(tfrecord.soft_label_of, num_classes=settings["num_classes"])
    index = scan(files, label_of, "Checking")
    _require_complete(index, settings)
    description = {**settings, "content_sha256": _content_hash(files, settings["num_images"])}
    _write(output, tfrecord.INDEX_FILE, tfrecord.encode_index(index))
    _write(output, tfrecord.DESCRIPTION_FILE, _to_json(description))
    tf.io.gfile.remove(tf.io.gfile.join(output, SETTINGS_FILE))
    return description


def _require_complete(index: RecordIndex, settings: dict) -> None:
    checks.require(
        len(index.labels) == settings["num_images"],
        "the TFRecord files of `output` hold a wrong number of images; delete the folder and"
        " run the command again",
        found=len(index.labels),
        images=settings["num_images"],
    )


def _content_hash(files: tuple[str, ...], num_images: int) -> str:
    digest = hashlib.sha256()
    progress = Progress("Hashing", num_images)
    for record in tf.data.TFRecordDataset(list(files)).prefetch(64).as_numpy_iterator():
        digest.update(record)
        progress.add(1)
    progress.close()
    return digest.hexdigest()


def _read_json(output: str, name: str) -> dict | None:
    path = tf.io.gfile.join(output, name)
    if not tf.io.gfile.exists(path):
        return None
    return tfrecord.read_description(path)


def _is_whole(output: str) -> bool:
    """Returns whether a finished folder still has its shards and a readable index."""
    try:
        tfrecord.open_tfrecord(output, None)
    except ValueError:
        return False
    return True


def _remove_left_behind(output: str, settings: dict, finished: dict | None) -> None:
    """Removes files that a killed command left behind.

    These are temporary files and, if dataset.json exists, unfinished.json.
    """
    names = (*settings["shards"], SETTINGS_FILE, tfrecord.INDEX_FILE, tfrecord.DESCRIPTION_FILE)
    left = [name + TEMPORARY_SUFFIX for name in names]
    left += [SETTINGS_FILE] if finished else []
    there = set(tf.io.gfile.listdir(output))
    for name in left:
        if name in there:
            tf.io.gfile.remove(tf.io.gfile.join(output, name))


def _to_json(content: dict) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _write(output: str, name: str, content: bytes) -> None:
    path = tf.io.gfile.join(output, name)
    with tf.io.gfile.GFile(path + TEMPORARY_SUFFIX, "wb") as file:
        file.write(content)
    tf.io.gfile.rename(path + TEMPORARY_SUFFIX, path, overwrite=True)
