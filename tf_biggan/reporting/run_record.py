"""Reads what a training run has left in its folder: settings, logs, sheets and checkpoints."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.source import DataIdentity
from tf_biggan.files import file_system
from tf_biggan.files.json_files import NotJson, parse_json
from tf_biggan.store.checkpoints import checkpoint_iterations
from tf_biggan.store.run_directory import (
    CONFIG_FILE,
    read_class_names,
    read_config,
    read_data_identity,
    read_initialization,
)
from tf_biggan.training.collapse_signs import ITERATION, ROLLED_BACK, WARNING
from tf_biggan.training.logs import ENVIRONMENT_FILE, IMAGES_SEEN, SECONDS, read_metrics
from tf_biggan.training.sample_sheets import FOLDER, REALS_FILE
from tf_biggan.training.scores import BEST_FOLDER, SCORED_AS

_SHEET = re.compile(r"iteration-(\d+)\.png")


@dataclasses.dataclass(frozen=True)
class Series:
    """Logged values of one quantity, in the order of the log.

    Attributes:
      iterations: Iterations, int64 [N].
      values: Values, float64 [N]; NaN where the logged value was not finite.
    """

    iterations: np.ndarray
    values: np.ndarray

    def finite(self) -> Series:
        """Returns the values that are finite."""
        kept = np.isfinite(self.values)
        return Series(self.iterations[kept], self.values[kept])

    def at(self, iteration: int) -> float | None:
        """Returns the last finite value that was logged at an iteration, or None."""
        found = self.values[(self.iterations == iteration) & np.isfinite(self.values)]
        return float(found[-1]) if len(found) else None


@dataclasses.dataclass(frozen=True)
class BestCheckpoint:
    """The checkpoint with the best value of a score.

    Attributes:
      score: Name of the score.
      iteration: Iteration of the checkpoint.
      value: The score; None if the log does not have it.
      path: Folder that holds the checkpoint. This folder is itself a run.
    """

    score: str
    iteration: int
    value: float | None
    path: str


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What a run has left in its folder. Everything but the configuration may be missing.

    Attributes:
      path: Folder of the run.
      config: Settings.
      class_names: One name for each class; empty if they are unknown.
      series: Logged quantities by name.
      collapses: (iteration, sentence) of every sign of collapse that was reported during training,
        and of every rollback.
      ways_of_scoring: Number of ways in which scores were measured. A way is an extractor, a
        reference and a number of images.
      identity: Identity of the data, or None.
      initialization: Model and classes that a fine-tuned run started from, or None.
      starts: Entries of environment.jsonl, one for each time the run was started or resumed.
      checkpoints: Iterations of the checkpoints.
      best: The best checkpoint by each score.
      sheets: Paths of the sheets of samples by iteration, in ascending order.
      reals: Path of the sheet of real images, or None.
    """

    path: str
    config: TrainConfig
    class_names: tuple[str, ...]
    series: Mapping[str, Series]
    collapses: Sequence[tuple[int, str]]
    ways_of_scoring: int
    identity: DataIdentity | None
    initialization: Mapping[str, object] | None
    starts: Sequence[Mapping[str, object]]
    checkpoints: Sequence[int]
    best: Sequence[BestCheckpoint]
    sheets: Mapping[int, str]
    reals: str | None

    @property
    def iteration(self) -> int:
        """The last iteration that has a log entry or a checkpoint."""
        logged = [int(series.iterations[-1]) for series in self.series.values()]
        return max([0, *logged, *self.checkpoints])

    def last(self, name: str) -> float | None:
        """Returns the last finite value of a logged quantity, or None."""
        found = self.series[name].finite().values if name in self.series else ()
        return float(found[-1]) if len(found) else None

    @property
    def seconds(self) -> float | None:
        """Training time in seconds, or None for runs of version 0.1, which did not log it."""
        return self.last(SECONDS)

    @property
    def images_seen(self) -> int | None:
        """Number of real images that the discriminator has seen, or None."""
        seen = self.last(IMAGES_SEEN)
        return None if seen is None else int(seen)


def read_run(path: str) -> RunRecord:
    """Reads the folder of a run.

    Raises:
      ValueError: The folder does not exist, is not a run, or has a damaged file. The message names
        the file.
    """
    file_system.require_existing("folder of the run", path, f"a folder with a {CONFIG_FILE}")
    config = read_config(path)
    entries = read_metrics(path)
    series = _series(entries)
    reals = os.path.join(path, FOLDER, REALS_FILE)
    return RunRecord(
        path=path,
        config=config,
        class_names=read_class_names(path),
        series=series,
        collapses=_collapses(entries),
        ways_of_scoring=len({entry[SCORED_AS] for entry in entries if SCORED_AS in entry}),
        identity=read_data_identity(path),
        initialization=read_initialization(path),
        starts=_starts(path),
        checkpoints=checkpoint_iterations(path),
        best=_best_checkpoints(path, series),
        sheets=_sheets(path),
        reals=reals if file_system.exists(reals) else None,
    )


def _series(entries: Sequence[Mapping[str, object]]) -> dict[str, Series]:
    """Returns the series of each logged number, by name. Logged texts are left out."""
    columns: dict[str, tuple[list, list]] = {}
    for entry in entries:
        for name, value in entry.items():
            if name != ITERATION and not isinstance(value, str):
                iterations, values = columns.setdefault(name, ([], []))
                iterations.append(entry[ITERATION])
                values.append(np.nan if value is None else value)
    return {
        name: Series(np.array(iterations, np.int64), np.array(values, np.float64))
        for name, (iterations, values) in columns.items()
    }


def _collapses(entries: Sequence[Mapping[str, object]]) -> list[tuple[int, str]]:
    return [
        (entry[ITERATION], str(entry[name]))
        for entry in entries
        for name in (WARNING, ROLLED_BACK)
        if entry.get(name)
    ]


def _starts(path: str) -> list[dict]:
    """Returns the lines of environment.jsonl, without lines that a killed process cut off."""
    file = os.path.join(path, ENVIRONMENT_FILE)
    if not file_system.exists(file):
        return []
    found = []
    with file_system.open_file(file, "rb") as lines:
        for line in lines:
            try:
                entry = parse_json(line, file, None)
            except NotJson:
                continue
            if isinstance(entry, dict):
                found.append(entry)
    return found


def _best_checkpoints(path: str, series: Mapping[str, Series]) -> list[BestCheckpoint]:
    found = []
    for name in sorted(file_system.listdir(path)):
        if not name.startswith(BEST_FOLDER):
            continue
        folder, score = os.path.join(path, name), name.removeprefix(BEST_FOLDER)
        for iteration in checkpoint_iterations(folder)[-1:]:
            value = series[score].at(iteration) if score in series else None
            found.append(BestCheckpoint(score, iteration, value, folder))
    return found


def _sheets(path: str) -> dict[int, str]:
    folder = os.path.join(path, FOLDER)
    names = file_system.listdir(folder) if file_system.isdir(folder) else []
    matches = [match for name in names if (match := _SHEET.fullmatch(name))]
    found = {int(match[1]): os.path.join(folder, match[0]) for match in matches}
    return dict(sorted(found.items()))
