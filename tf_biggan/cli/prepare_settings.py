"""Settings of `python -m tf_biggan.prepare`. No TensorFlow is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tf_biggan.cli.image_sizes import resolution_parser
from tf_biggan.cli.settings import Settings, setting
from tf_biggan.files.file_paths import ONE_PATH

FORMATS = ("png", "jpeg")


@dataclass(frozen=True)
class PrepareConfig(Settings):
    """The images to prepare, and the form in which they are stored."""

    required: ClassVar = ("source", "resolution", "output")
    help_groups: ClassVar = {
        "Data": ("source", "split", "data_dir", "download"),
        "Images": ("resolution", "image_channels", "format"),
        "Output": ("output", "num_shards"),
        "Computation": ("num_workers",),
    }

    source: str | None = setting(
        None,
        "Images to prepare: digits (part of the package), tfds:NAME (TensorFlow Datasets),"
        " folder:PATH (image files) or tfrecord:PATH (files that prepare wrote).",
        path=ONE_PATH,
    )
    split: str | None = setting(
        None,
        "Split or slice of a tfds data set, or sub-folder of PATH. Default: train for a"
        " tfds data set, otherwise PATH itself.",
    )
    data_dir: str | None = setting(
        None,
        "Folder of prepared tfds data sets. Default: the folder that TensorFlow Datasets uses.",
        path=ONE_PATH,
    )
    download: bool = setting(False, "Download the tfds data set if it is not in data_dir.")
    resolution: int | str | None = setting(
        None,
        "Size of the stored images in pixels: the side of a square, or HEIGHTxWIDTH such as"
        " 128x192.",
        parse=resolution_parser(minimum=1),
    )
    image_channels: int = setting(
        3, "Channels of the stored images: 1 for grey, 2 for grey and alpha, 3 for RGB, 4 for RGBA."
    )
    format: str = setting(
        "png",
        "Format of the stored images. png keeps every pixel; jpeg (quality 95) is smaller.",
        choices=FORMATS,
    )
    output: str | None = setting(
        None, "Folder to write. It is created if it does not exist.", path=ONE_PATH
    )
    num_shards: int | None = setting(
        None,
        "Number of TFRecord files to write. Default: one file for every 256 MiB of pixels.",
        minimum=1,
    )
    num_workers: int | None = setting(
        None, "Number of images to process in parallel. Default: chosen by TensorFlow.", minimum=1
    )
