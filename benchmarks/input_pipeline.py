"""Compares the speed of the input pipeline with plain tf.data, which reads the files sequentially.

    python benchmarks/input_pipeline.py                                 the whole table
    python benchmarks/input_pipeline.py --setting=32px_png --rounds=3   the rows of one setting

The script writes smooth random images to a temporary folder, as records or, for settings that end
in "files", as one file for each image. The pipeline "plain" reads the records or files in their
order, decodes them in parallel, scales and batches, without shuffling and checks. The pipelines
"blocks" and "full" are `make_dataset` without its cache, with flips. The pipelines take turns, so
that other programs on the machine slow all pipelines equally. The table has the median of the
images per second, the median of the CPU time for an image, and the median ratio of a pipeline's
speed to the speed of "plain" in the same round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time

import numpy as np
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Side in pixels, format, number of images. Names that end in "files" have a file for each image.
SETTINGS = {
    "32px_png": (32, "png", 10_000),
    "32px_jpeg": (32, "jpeg", 10_000),
    "128px_png": (128, "png", 2_000),
    "128px_jpeg": (128, "jpeg", 2_000),
    "32px_png_files": (32, "png", 10_000),
    "128px_png_files": (128, "png", 2_000),
    "128px_jpeg_files": (128, "jpeg", 2_000),
}
NUM_SHARDS = 4
BATCH = 64
CANVAS = 1024
# Natural images have amplitudes of about 1 / frequency. Here they fall as frequency ** -EXPONENT.
EXPONENT = 1.2


def canvas() -> np.ndarray:
    """Returns random pixels with the spectrum of photographs, uint8 [1024, 1024, 3]."""
    random, frequencies = np.random.default_rng(0), np.fft.fftfreq(CANVAS)
    radius = np.hypot(frequencies[:, None], frequencies[None])
    amplitudes = np.maximum(radius, 1 / CANVAS) ** -EXPONENT
    noise = random.normal(size=(3, CANVAS, CANVAS))
    planes = np.fft.ifft2(np.fft.fft2(noise) * amplitudes).real
    planes = (planes - planes.mean()) / planes.std() * 50 + 128
    return np.clip(planes, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def write_records(folder: str, side: int, image_format: str, count: int) -> None:
    """Writes random crops of the canvas as TFRecord files, as `prepare` does."""
    import tensorflow as tf

    from tf_biggan.data.source import Source
    from tf_biggan.data.tfrecord_writer import write_tfrecords

    class Crops(Source):
        def __init__(self):
            labels = np.arange(count) * 10 // count
            super().__init__("crops", tuple("0123456789"), labels)
            self._canvas = tf.constant(canvas())
            corners = np.random.default_rng(1).integers(0, CANVAS - side, (count, 2))
            self._corners = tf.constant(corners)

        def load(self, index, channels):
            y, x = tf.unstack(self._corners[index])
            return self._canvas[y : y + side, x : x + side, :channels]

        def locate(self, index):
            return str(index)

    write_tfrecords(
        Crops(), folder, image_size=side, image_format=image_format, num_shards=NUM_SHARDS
    )


def write_files(folder: str, side: int, image_format: str, count: int) -> None:
    """Writes random crops of the canvas as image files, in a sub-folder for each of 10 classes."""
    pixels, random = canvas(), np.random.default_rng(1)
    options = dict(quality=95, subsampling=0) if image_format == "jpeg" else {}
    for number, (y, x) in enumerate(random.integers(0, CANVAS - side, (count, 2))):
        place = os.path.join(folder, str(number * 10 // count))
        os.makedirs(place, exist_ok=True)
        image = Image.fromarray(pixels[y : y + side, x : x + side])
        image.save(os.path.join(place, f"{number:05}.{image_format}"), **options)


def plain(folder: str, side: int, image_format: str):
    """Returns batches of plain tf.data, with the records or files in their order."""
    import tensorflow as tf

    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }

    def decode(contents, label):
        if image_format == "png":
            pixels = tf.io.decode_png(contents, 3)
        else:
            pixels = tf.io.decode_jpeg(contents, 3, dct_method="INTEGER_ACCURATE")
        pixels = tf.ensure_shape(pixels, [side, side, 3])
        return tf.cast(pixels, tf.float32) / 127.5 - 1, tf.cast(label, tf.int32)

    def of_record(record):
        example = tf.io.parse_single_example(record, features)
        return decode(example["image"], example["label"])

    def of_file(path, label):
        return decode(tf.io.read_file(path), label)

    records = sorted(tf.io.gfile.glob(os.path.join(folder, "*.tfrecord")))
    if records:
        stored, load = tf.data.TFRecordDataset(records, buffer_size=1 << 20), of_record
    else:
        paths = sorted(tf.io.gfile.glob(os.path.join(folder, "*", f"*.{image_format}")))
        labels = [int(os.path.basename(os.path.dirname(path))) for path in paths]
        stored, load = tf.data.Dataset.from_tensor_slices((paths, labels)), of_file
    decoded = stored.repeat().map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return decoded.batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def ours(name: str, side: int, data_order: str):
    """Returns batches of the training pipeline without its cache."""
    from tf_biggan import make_dataset, open_source

    source, size = open_source(name), dict(image_size=side, image_channels=3)
    arguments = dict(batch_size=BATCH, seed=0, flip=True, cache=False, data_order=data_order)
    return make_dataset(source, **size, **arguments)


def measure(iterator, seconds: float) -> tuple[float, float]:
    """Returns the images per second, and the CPU time for an image in microseconds."""
    begun, cpu, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        next(iterator)
        images += BATCH
    return images / (time.perf_counter() - begun), 1e6 * (time.process_time() - cpu) / images


def compare(setting: str, rounds: int, seconds: float) -> None:
    """Prints the rows of one setting."""
    side, image_format, count = SETTINGS[setting]
    with tempfile.TemporaryDirectory() as folder:
        makers = {"plain": lambda: plain(folder, side, image_format)}
        if setting.endswith("files"):
            write_files(folder, side, image_format, count)
            makers["full"] = lambda: ours(f"folder:{folder}", side, "full")
        else:
            write_records(folder, side, image_format, count)
            makers["blocks"] = lambda: ours(f"tfrecord:{folder}", side, "blocks")
            makers["full"] = lambda: ours(f"tfrecord:{folder}", side, "full")
        found = {kind: [] for kind in makers}
        for _ in range(rounds):
            for kind, make in makers.items():
                # Every measurement makes a new pipeline: a waiting pipeline would fill its buffers.
                iterator = iter(make())
                measure(iterator, seconds / 4)
                found[kind].append(measure(iterator, seconds))
    for kind, rates in found.items():
        rate, cpu = (statistics.median(column) for column in zip(*rates, strict=True))
        pairs = zip(rates, found["plain"], strict=True)
        ratio = statistics.median(mine[0] / other[0] for mine, other in pairs)
        print(f"{setting:17} {kind:8} {rate:10.0f} {cpu:10.0f} {ratio:10.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setting", action="append", choices=tuple(SETTINGS))
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each kind")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a measurement")
    flags = parser.parse_args()
    print(f"{'setting':17} {'kind':8} {'images/s':>10} {'CPU us':>10} {'to plain':>10}")
    for setting in flags.setting or SETTINGS:
        compare(setting, flags.rounds, flags.seconds)


if __name__ == "__main__":
    main()
