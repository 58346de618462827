"""Writes a data set as sharded TFRecords at one resolution, for training with tfrecord:OUTPUT.

python -m tf_biggan.prepare --source=folder:/data/birds --resolution=128 --output=/data/birds128

Images are cropped centrally to a square, resized with an antialiased bilinear filter and stored
without loss. Called again with the same flags an interrupted preparation goes on.
"""

from __future__ import annotations

from absl import flags

from tf_biggan.cli.flags import define_path, run
from tf_biggan.cli.terminal import quiet_tensorflow

_SOURCE = define_path(
    "source", "Images to prepare: digits, tfds:NAME, folder:PATH or tfrecord:PATH."
)
_RESOLUTION = flags.DEFINE_integer("resolution", None, "Side of the square images, in pixels.")
_OUTPUT = define_path("output", "Folder to write; made where it does not exist.")
_SPLIT = flags.DEFINE_string(
    "split", None, "Split or slice of a tfds data set (default train), or sub-folder of a PATH."
)
_DATA_DIR = define_path("data_dir", "Where prepared tfds data sets lie.")
_DOWNLOAD = flags.DEFINE_bool(
    "download", False, "Download a tfds data set that is not there, instead of failing."
)
_CHANNELS = flags.DEFINE_integer("image_channels", 3, "1 grey, 2 with alpha, 3 RGB, 4 with alpha.")
_FORMAT = flags.DEFINE_enum(
    "format", "png", ["png", "jpeg"], "png keeps every pixel; jpeg (quality 95) is smaller."
)
_NUM_SHARDS = flags.DEFINE_integer(
    "num_shards", None, "Files to write; by default one for every 256 MiB of pixels.", lower_bound=1
)
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers", None, "Images processed at a time; by default all cores.", lower_bound=1
)


def main() -> int:
    """Runs the command."""
    quiet_tensorflow()
    from tf_biggan.data import schemes as sources
    from tf_biggan.data import source
    from tf_biggan.data import tfrecord_writer as prepare

    opened = sources.open_source(
        _SOURCE.value, split=_SPLIT.value, data_dir=_DATA_DIR.value, download=_DOWNLOAD.value
    )
    print(*source.describe(opened), sep="\n")
    description = prepare.prepare(
        opened,
        _OUTPUT.value,
        image_size=_RESOLUTION.value,
        image_channels=_CHANNELS.value,
        image_format=_FORMAT.value,
        num_shards=_NUM_SHARDS.value,
        num_workers=_NUM_WORKERS.value,
    )
    print(
        f"Wrote {description['num_images']:,} images in {len(description['shards'])} files."
        f" Train with --dataset=tfrecord:{_OUTPUT.value}"
    )
    return 0


if __name__ == "__main__":
    run(
        main,
        required=("source", "resolution", "output"),
        interrupted="Interrupted; the same command goes on where it stopped.",
    )
