"""The real images that a model is compared with, and the cache of what is computed from them."""

from __future__ import annotations

import dataclasses
import os

from tf_biggan import checks
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import Source
from tf_biggan.evaluation.features.cache import cache_folder
from tf_biggan.store.run_directory import is_run, read_config


@dataclasses.dataclass(frozen=True)
class ReferenceChoice:
    """Which real images.

    Attributes:
      name: a source of data, or a folder; None for the data of the run `model`.
      split: of tfds data, or a sub-folder; None for `tfds_split` or the run's.
      data_dir: where prepared tfds data lie.
      download: whether tfds data may be downloaded.
      model: path of the model that is compared.
      tfds_split: split of tfds data where `split` is None.
    """

    name: str | None
    split: str | None = None
    data_dir: str | None = None
    download: bool = False
    model: str | None = None
    tfds_split: str | None = None

    def open(self) -> Source:
        """The source of the images.

        Raises:
          ValueError: nothing is named and the model is no run, or what is named is not there.
        """
        if self.name is not None:
            if self.name.endswith(".npz"):
                checks.require_existing("reference", self.name, "a file of statistics")
            name = f"folder:{self.name}" if os.path.isdir(self.name) else self.name
            split, data_dir = self.split or self._tfds_split(name), self.data_dir
        else:
            checks.require(
                self.model is not None and is_run(self.model),
                "--reference must say what to compare with; only a run knows its data",
                model=self.model,
            )
            own = read_config(self.model).data
            name, data_dir = own.dataset, self.data_dir or own.data_dir
            split = self.split or self._tfds_split(name) or own.split
        return open_source(name, split=split, data_dir=data_dir, download=self.download)

    def _tfds_split(self, name):
        return self.tfds_split if name.startswith("tfds:") else None


def cache_of(setting: str) -> str | None:
    """The folder that a flag names: `default`, `none` for no folder, or a path."""
    if setting == "none":
        return None
    return str(cache_folder()) if setting == "default" else setting
