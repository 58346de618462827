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

    # The path may change while a run goes on; the identity of the data is compared instead.
    dataset: str = setting(
        "digits",
        "Data set to train on: digits, tfds:NAME, folder:PATH or tfrecord:PATH.",
        may_change=True,
        path=ONE_PATH,
    )
    split: str | None = setting(
        None,
        "Split of a tfds data set, or sub-folder of PATH. Default: the split train for tfds.",
        may_change=True,
    )
    data_dir: str | None = setting(
        None,
        "Folder of prepared tfds data sets. Default: the default of TFDS.",
        may_change=True,
        path=ONE_PATH,
    )
    download: bool = setting(
        False, "Download the tfds data set if it is not in data_dir.", may_change=True
    )
    data_order: str = setting(
        "full",
        "Order of the images in an epoch: full is a permutation of all images; blocks reads long"
        " pieces of TFRecord files and holds up to 2 GiB of them in memory.",
        choices=DATA_ORDERS,
    )
    flip: bool = setting(False, "Flip every image horizontally with probability 1/2.")
    held_out_share: float = setting(
        0.0,
        "Share of the images that are kept away from training, to see whether the discriminator"
        " memorises the others: each evaluation (eval_every) logs its scores of both. 0 trains on"
        " all images.",
        minimum=0.0,
        maximum=0.5,
    )
    changed_data: bool = setting(
        False,
        "Resume the run although images were added, removed or replaced since it started.",
        may_change=True,
    )


DATA_FLAGS = tuple(field.name for field in dataclasses.fields(DataConfig))
