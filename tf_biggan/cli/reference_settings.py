"""The settings that commands share which compare with real images by a network. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from tf_biggan.cli.train_settings import setting
from tf_biggan.files.home_folder import ONE_PATH


@dataclass(frozen=True)
class ReferenceSettings:
    """Which real images, and what features are taken by."""

    reference: str | None = setting(
        None,
        "digits, tfds:NAME, folder:PATH or tfrecord:PATH; default: the data of the run",
        path=ONE_PATH,
    )
    reference_split: str | None = setting(
        None, "split of tfds data, or sub-folder of a PATH; default: the run's"
    )
    data_dir: str | None = setting(None, "where prepared tfds data sets lie", path=ONE_PATH)
    download: bool = setting(False, "download a tfds data set that is not there")
    layer: str | None = setting(
        None, "of an extractor of your own: layer of a .keras file, output of a SavedModel"
    )
    inception_weights: str | None = setting(
        None,
        "the frozen graph of 2015 (.pb or .tgz), pytorch-fid's .pth or TF-GAN's TF-Hub module",
        path=ONE_PATH,
    )
    feature_cache: str = setting(
        "default",
        "folder of features and classifiers; `default` is $TF_BIGGAN_CACHE or ~/.cache/tf_biggan;"
        " `none` keeps nothing",
        path=ONE_PATH,
    )
