"""Reads and writes the JSON files in the folder of a training run, such as config.json."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence

from tf_biggan import checks
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.classes import complete_names
from tf_biggan.data.source import DataIdentity
from tf_biggan.files.atomic import remove_leftovers, write_text
from tf_biggan.files.json_files import read_json

CONFIG_FILE = "config.json"
CLASSES_FILE = "classes.json"
DATA_FILE = "data.json"
INITIALIZATION_FILE = "initialization.json"
# Groups of settings by which a run's config.json is told apart from other files of that name.
GROUPS = {"model", "data", "step", "run"}
_OF_A_START = re.compile(r"(config|classes)\.json(\.\d+)?\.tmp")


def check_run(run_dir: str, config: TrainConfig) -> None:
    """Checks that a run can start or resume in a folder.

    Args:
      run_dir: Folder of the run. It need not exist.
      config: Configuration of the run to start or resume.

    Raises:
      ValueError: The folder holds a run, and a setting that must not change differs; or the folder
        holds files that are not a run.
    """
    path = os.path.join(run_dir, CONFIG_FILE)
    if os.path.exists(path):
        _require_same_run(run_dir, read_config(run_dir), config)
    elif os.path.isdir(run_dir):
        # A run that was killed before it wrote config.json left only temporary files. Those do not
        # prevent a new start.
        others = [name for name in os.listdir(run_dir) if not _OF_A_START.fullmatch(name)]
        checks.require(
            not others,
            f"`run_dir` must be a new or empty folder, or a run (with {CONFIG_FILE}); choose"
            " another folder",
            run_dir=run_dir,
            holds=sorted(others)[:3],
        )


def write_config(
    run_dir: str,
    config: TrainConfig,
    class_names: Sequence[str] = (),
    identity: DataIdentity | None = None,
) -> None:
    """Creates the folder of a run and writes config.json, classes.json and data.json.

    config.json is written first: from then on the folder is a run, and the same command resumes it
    after an interruption.

    Args:
      run_dir: Folder of the run. It is created if it does not exist.
      config: Configuration of the run.
      class_names: One name for each class, or empty if the names are unknown.
      identity: Identity of the training data, or None to write no data.json.
    """
    os.makedirs(run_dir, exist_ok=True)
    remove_leftovers(run_dir)
    _write(run_dir, CONFIG_FILE, config.to_json())
    _write(run_dir, CLASSES_FILE, json.dumps(list(class_names), indent=2) + "\n")
    if identity is not None:
        _write(run_dir, DATA_FILE, json.dumps(dataclasses.asdict(identity)) + "\n")


def write_initialization(run_dir: str, record: Mapping[str, object]) -> None:
    """Writes initialization.json, which records the model and classes that the run started from."""
    _write(run_dir, INITIALIZATION_FILE, json.dumps(record, indent=2) + "\n")


def read_initialization(run_dir: str) -> dict | None:
    """Returns the content of initialization.json, or None if the run started from no model.

    Raises:
      ValueError: The file cannot be read.
    """
    path = os.path.join(run_dir, INITIALIZATION_FILE)
    return read_json(path) if os.path.exists(path) else None


def is_run(path: str) -> bool:
    """Returns whether a folder holds the config.json of a run, even if settings are missing.

    Raises:
      ValueError: The folder has a config.json that is not a JSON object.
    """
    try:
        return bool(GROUPS & set(read_json(os.path.join(path, CONFIG_FILE))))
    except OSError:
        return False


def read_class_names(run_dir: str) -> tuple[str, ...]:
    """Returns one name for each class of a run, or () if the names are unknown.

    Raises:
      ValueError: classes.json or config.json is damaged. The message names the file.
    """
    path = os.path.join(run_dir, CLASSES_FILE)
    if not os.path.exists(path):
        return ()
    num_classes = read_config(run_dir).model.num_classes
    names = read_json(path, "tuple[str, ...]")
    # Version 0.1 wrote the class names of the data, which may be fewer than the model's classes.
    return complete_names(names, num_classes or len(names))


def read_data_identity(run_dir: str) -> DataIdentity | None:
    """Returns the identity of a run's training data.

    Returns:
      The identity, or None for runs of version 0.1, which did not record it.

    Raises:
      ValueError: data.json is damaged. The message names the file.
    """
    path = os.path.join(run_dir, DATA_FILE)
    if not os.path.exists(path):
        return None
    return DataIdentity.from_dict(read_json(path), path)


def read_config(run_dir: str) -> TrainConfig:
    """Returns the configuration of a run.

    Raises:
      ValueError: `run_dir` is not a run, or its configuration cannot be read. The message names the
        file and the field.
    """
    path = os.path.join(run_dir, CONFIG_FILE)
    try:
        groups = read_json(path)
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from error
    return TrainConfig.from_groups(groups, path)


def _write(run_dir, name, text):
    write_text(os.path.join(run_dir, name), text)


def _require_same_run(run_dir, stored, given):
    differences = stored.differences(given)
    listed = ", ".join(f"{k} was {old!r}, now {new!r}" for k, (old, new) in differences.items())
    checks.require(
        not differences,
        f"cannot resume {run_dir}: a run keeps the settings with which it started, and these"
        f" differ: {listed}. Use the first values or another --run_dir",
        run_dir=run_dir,
    )
