"""A run's folder and the configuration that belongs to it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

from tf_biggan import checks
from tf_biggan.config import TrainConfig
from tf_biggan.json_files import read_json

CONFIG_FILE = "config.json"
CLASSES_FILE = "classes.json"
INITIALIZATION_FILE = "initialization.json"
# The groups that a run's config.json has, and no other config.json.
GROUPS = {"model", "data", "step", "run"}


def check_run(run_dir: str, config: TrainConfig) -> None:
    """Checks that a run may start, or go on, in a folder.

    Args:
      run_dir: folder of the run; need not exist.
      config: of the run that is to start or to go on.

    Raises:
      ValueError: the folder's run has other settings than those that may change; or it holds
        something else than a run.
    """
    path = os.path.join(run_dir, CONFIG_FILE)
    if os.path.exists(path):
        _require_same_run(run_dir, read_config(run_dir), config)
    elif os.path.isdir(run_dir):
        checks.require(
            not os.listdir(run_dir),
            f"`run_dir` must be new, empty or a run (with {CONFIG_FILE})",
            run_dir=run_dir,
        )


def write_config(run_dir: str, config: TrainConfig, class_names: Sequence[str] = ()) -> None:
    """Makes the folder where it does not exist; writes its config.json and classes.json."""
    os.makedirs(run_dir, exist_ok=True)
    _write(run_dir, CLASSES_FILE, json.dumps(list(class_names), indent=2) + "\n")
    _write(run_dir, CONFIG_FILE, config.to_json())


def write_initialization(run_dir: str, record: Mapping[str, object]) -> None:
    """Writes initialization.json: what model, and which of its classes, the run started from."""
    _write(run_dir, INITIALIZATION_FILE, json.dumps(record, indent=2) + "\n")


def read_initialization(run_dir: str) -> dict | None:
    """Returns the content of initialization.json, or None if the run started from no model.

    Raises:
      ValueError: The file cannot be read.
    """
    path = os.path.join(run_dir, INITIALIZATION_FILE)
    return read_json(path) if os.path.exists(path) else None


def is_run(path: str) -> bool:
    """Whether a folder holds the config.json of a run."""
    try:
        with open(os.path.join(path, CONFIG_FILE), encoding="utf-8") as file:
            return set(json.load(file)) == GROUPS
    except (OSError, TypeError, ValueError):
        return False


def read_class_names(run_dir: str) -> tuple[str, ...]:
    """Names of a run's classes, or () where none are known."""
    path = os.path.join(run_dir, CLASSES_FILE)
    if not os.path.exists(path):
        return ()
    with open(path, encoding="utf-8") as file:
        return tuple(json.load(file))


def read_config(run_dir: str) -> TrainConfig:
    """The configuration of a run.

    Raises:
      ValueError: `run_dir` is no run, or its configuration cannot be read.
    """
    path = os.path.join(run_dir, CONFIG_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            return TrainConfig.from_json(file.read())
    except (OSError, AttributeError, ValueError) as error:
        raise ValueError(
            f"A run directory must have a readable {CONFIG_FILE}. Received: {run_dir} ({error})."
        ) from error


def _write(run_dir, name, text):
    path = os.path.join(run_dir, name)
    temporary = f"{path}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def _require_same_run(run_dir, stored, given):
    differences = stored.differences(given)
    listed = ", ".join(f"{k} was {old!r}, now {new!r}" for k, (old, new) in differences.items())
    checks.require(
        not differences,
        "a run goes on with the settings that it began with, or begins in another run_dir;"
        f" these differ: {listed}",
        run_dir=run_dir,
    )
