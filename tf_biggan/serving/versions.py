"""Where the versions of a model lie, and the name that it is served under."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from tf_biggan import checks

SAVED_MODEL_FILE = "saved_model.pb"
# A SavedModel in a folder that is no version of anything.
ONLY_VERSION = 1
MAX_VERSION = 2**63 - 1


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
    checks.require_existing("folder to serve", path, "a SavedModel, or a folder of its versions")
    if _is_saved_model(path):
        number = version_number(os.path.basename(path))
        return ModelVersions(model_name(path), {ONLY_VERSION if number is None else number: path})
    entries = os.listdir(path) if os.path.isdir(path) else []
    found = {os.path.join(path, entry): version_number(entry) for entry in entries}
    folders = {
        number: folder
        for folder, number in found.items()
        if number is not None and _is_saved_model(folder)
    }
    checks.require(
        bool(folders),
        f"a folder with {SAVED_MODEL_FILE}, or with versions of it such as {path}/1, is needed",
        path=path,
    )
    return ModelVersions(_folder_name(path), dict(sorted(folders.items())))


def version_number(name: str) -> int | None:
    """Returns the version that a folder of this name is for TensorFlow Serving, or None."""
    is_version = name.isascii() and name.isdecimal() and int(name) <= MAX_VERSION
    return int(name) if is_version else None


def model_name(path: str) -> str:
    """Returns the name under which a SavedModel is served: that of the folder of all versions."""
    parent, last = os.path.split(os.path.abspath(path))
    return _folder_name(path if version_number(last) is None else parent)


def _folder_name(path: str) -> str:
    # A colon ends the name in the addresses of the API.
    return os.path.basename(os.path.abspath(path)).replace(":", "_") or "model"


def _is_saved_model(path: str) -> bool:
    return os.path.isfile(os.path.join(path, SAVED_MODEL_FILE))
