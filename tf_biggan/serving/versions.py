"""Where the versions of a model lie, and the name that it is served under."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from tf_biggan import checks

SAVED_MODEL_FILE = "saved_model.pb"
# A SavedModel in a folder that is no version of anything.
ONLY_VERSION = 1


@dataclasses.dataclass(frozen=True)
class ModelVersions:
    """A model's name and its folders.

    Attributes:
      name: of the model, as in the addresses of the API.
      folders: the SavedModel of every version.
    """

    name: str
    folders: Mapping[int, str]

    @property
    def newest(self) -> int:
        """The version that answers where a request names none."""
        return max(self.folders)


def find_versions(path: str) -> ModelVersions:
    """The versions at `path`: a SavedModel, or a folder of SavedModels named by numbers.

    The name is that of the folder; of a SavedModel whose folder is a number, that of the folder
    above.

    Raises:
      ValueError: there is no SavedModel.
    """
    path = os.path.abspath(path)
    parent, own_name = os.path.split(path)
    if _is_saved_model(path):
        if own_name.isdecimal():
            return ModelVersions(_model_name(parent), {int(own_name): path})
        return ModelVersions(_model_name(path), {ONLY_VERSION: path})
    entries = os.listdir(path) if os.path.isdir(path) else []
    folders = {int(entry): os.path.join(path, entry) for entry in entries if entry.isdecimal()}
    folders = {number: folder for number, folder in folders.items() if _is_saved_model(folder)}
    checks.require(
        bool(folders),
        f"a folder with {SAVED_MODEL_FILE}, or with versions of it such as {path}/1, is needed",
        path=path,
    )
    return ModelVersions(_model_name(path), dict(sorted(folders.items())))


def _is_saved_model(path: str) -> bool:
    return os.path.isfile(os.path.join(path, SAVED_MODEL_FILE))


def _model_name(path: str) -> str:
    # A colon ends the name in the addresses of the API.
    return os.path.basename(path).replace(":", "_") or "model"
