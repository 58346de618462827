"""Rows of the report's tables: one column for each run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_biggan.cli.settings import flag_name
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.reporting.run_record import RunRecord
from tf_biggan.reporting.warning_signs import THROUGHPUT

MISSING = "-"
MOST_CLASSES = 12
SHOWN_OF_HASH = 16


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
      name: Title of the row.
      values: One text for each run.
      marked: Whether the row stands out: for settings, whether a run differs from the default.
      help: Text of the tooltip; "" for none.
    """

    name: str
    values: tuple[str, ...]
    marked: bool = False
    help: str = ""

    @property
    def differs(self) -> bool:
        """Whether the runs have different values."""
        return len(set(self.values)) > 1


def summary_rows(runs: Sequence[RunRecord]) -> list[Row]:
    """Returns the state, length and speed of every run."""
    return [Row(name, tuple(of(run) for run in runs)) for name, of in SUMMARY.items()]


def settings_rows(runs: Sequence[RunRecord]) -> list[Row]:
    """Returns every setting. Rows where a run differs from the default are marked."""
    flats = [run.config.flat() for run in runs]
    rows = []
    for field in TrainConfig.settings():
        values = [flat[field.name] for flat in flats]
        marked = any(value != field.default for value in values)
        texts = tuple(_text(value) for value in values)
        rows.append(Row(f"--{flag_name(field)}", texts, marked, field.metadata["help"]))
    return rows


def data_rows(runs: Sequence[RunRecord]) -> list[Row]:
    """Returns what is known about the data of every run."""
    return [Row(name, tuple(of(run) for run in runs)) for name, of in DATA.items()]


def machine_rows(runs: Sequence[RunRecord]) -> list[list[Row]]:
    """Returns the starts of every run, one row each."""
    return [[_start_row(start) for start in run.starts] for run in runs]


def _start_row(start: Mapping[str, object]) -> Row:
    machine, versions = (
        found if isinstance(found := start.get(name), dict) else {}
        for name in ("machine", "versions")
    )
    devices = start.get("devices")
    parts = (
        _text(start.get("iteration")),
        _text(start.get("date")),
        ", ".join(f"{name}: {_text(value)}" for name, value in machine.items()),
        ", ".join(map(str, devices)) if isinstance(devices, list) else MISSING,
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    )
    return Row("start", parts)


def _progress(run: RunRecord) -> str:
    total = run.config.run.num_iterations
    state = "complete" if run.iteration >= total else f"at {run.iteration:,} of"
    return f"{state}, {total:,} iterations" if run.iteration >= total else f"{state} {total:,}"


def _duration(run: RunRecord) -> str:
    if run.seconds is None:
        return MISSING
    minutes, seconds = divmod(round(run.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    found = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(found[:2]) or "0 s"


def _rate(run: RunRecord) -> str:
    if THROUGHPUT not in run.series or not len(run.series[THROUGHPUT].finite().values):
        return MISSING
    rate = float(np.median(run.series[THROUGHPUT].finite().values))
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _batch(run: RunRecord) -> str:
    step = run.config.step
    return f"{step.global_batch_size:,} ({step.num_d_steps} D steps)"


def _model(run: RunRecord) -> str:
    model = run.config.model
    return model.architecture or f"{model.variant}, {model.resolution} pixels"


def _classes(run: RunRecord) -> str:
    names = run.class_names
    if not names:
        return "none" if run.config.model.num_classes == 0 else MISSING
    shown = [*names[:MOST_CLASSES], *(["..."] if len(names) > MOST_CLASSES else [])]
    return f"{len(names):,}: {', '.join(shown)}"


def _per_class(run: RunRecord) -> str:
    counts = run.identity.images_per_class if run.identity else ()
    if not counts:
        return MISSING
    return f"{min(counts):,} to {max(counts):,}, median {int(np.median(counts)):,}"


def _source_model(run: RunRecord) -> str:
    source = (run.initialization or {}).get("source")
    path = source.get("path") if isinstance(source, dict) else None
    return _text(path) if run.initialization else "random weights"


def _text(value: object) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


Cell = Callable[[RunRecord], str]
SUMMARY: Mapping[str, Cell] = {
    "Folder": lambda run: run.path,
    "State": _progress,
    "Training time": _duration,
    "Images seen": lambda run: MISSING if run.images_seen is None else f"{run.images_seen:,}",
    "Images per second, median": _rate,
    "Model": _model,
    "Batch": _batch,
    "Started from": _source_model,
    "Checkpoints": lambda run: ", ".join(f"{i:,}" for i in run.checkpoints) or MISSING,
}
DATA: Mapping[str, Cell] = {
    "Data set": lambda run: run.config.data.dataset,
    "Split": lambda run: _text(run.config.data.split),
    "Images": lambda run: f"{run.identity.num_images:,}" if run.identity else MISSING,
    "Classes": _classes,
    "Images per class": _per_class,
    "Hash of the index": lambda run: (
        run.identity.index_sha256[:SHOWN_OF_HASH] if run.identity else MISSING
    ),
}
