"""Settings of the data that a run trains on. No TensorFlow is imported."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tf_biggan.cli.settings import Settings, setting
from tf_biggan.files.file_paths import ONE_PATH

DATA_ORDERS = ("full", "blocks")


@dataclass(frozen=True)
class DataConfig(Settings):
    """The data set to train on."""

    # The path may change when a run resumes, because the identity of the data is compared instead.
    dataset: str = setting(
        "digits",
        "Data set to train on: digits (part of the package), tfds:NAME (TensorFlow Datasets),"
        " folder:PATH (image files) or tfrecord:PATH (files that prepare wrote).",
        may_change=True,
        path=ONE_PATH,
    )
    split: str | None = setting(
        None,
        "Split of a tfds data set, or sub-folder of PATH. Default: train for a tfds data"
        " set, otherwise PATH itself.",
        may_change=True,
    )
    data_dir: str | None = setting(
        None,
        "Folder of prepared tfds data sets. Default: the folder that TensorFlow Datasets uses.",
        may_change=True,
        path=ONE_PATH,
    )
    download: bool = setting(
        False, "Download the tfds data set if it is not in data_dir.", may_change=True
    )
    data_order: str = setting(
        "full",
        "Order of the images in an epoch. full is a random permutation of all images. blocks"
        " reads long pieces of TFRecord files, which is faster for data that do not fit into"
        " memory, and holds up to 2 GiB of them in memory.",
        choices=DATA_ORDERS,
    )
    flip: bool = setting(False, "Flip every image horizontally with probability 1/2.")
    held_out_share: float = setting(
        0.0,
        "Share of the images to hold out of training. Each evaluation (--eval_every) logs the"
        " discriminator's scores of training and held-out images, which differ if it memorises"
        " the training images. 0 trains on all images.",
        minimum=0.0,
        maximum=0.5,
    )
    changed_data: bool = setting(
        False,
        "Resume the run even if images were added, removed or replaced since it started.",
        may_change=True,
    )


DATA_FLAGS = tuple(field.name for field in dataclasses.fields(DataConfig))
