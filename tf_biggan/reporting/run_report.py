"""Writes the report of one or several runs: reads the runs, draws charts and fills in the page.

The tables of the page have one column for each run.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence

import jinja2
import numpy as np
from markupsafe import Markup

from tf_biggan.cli.report_settings import REPORT_FILE, ReportConfig
from tf_biggan.cli.settings import flag_name
from tf_biggan.cli.terminal import one_line
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.files import file_system
from tf_biggan.files.atomic import write_text
from tf_biggan.networks.architecture_files import shown
from tf_biggan.reporting.charts import charts_of, run_names, svg
from tf_biggan.reporting.report_pictures import (
    TOTAL_BYTES,
    Picture,
    evenly_chosen,
    nearest_reals,
    picture_of_file,
)
from tf_biggan.reporting.run_record import RunRecord, read_run
from tf_biggan.reporting.warning_signs import THROUGHPUT, warning_signs

TEMPLATE = "report_page.html"
MOST_SHEETS = 8
# Limit for the sheets of all runs together, so that pictures stay large enough.
MOST_SHEETS_OF_ALL = 16
MISSING = "-"
MOST_CLASSES = 12
SHOWN_OF_HASH = 16


def report(config: ReportConfig) -> None:
    """Writes the report that the settings describe.

    Raises:
      ValueError: A folder is not a run, or one of its files is damaged; nothing is written.
    """
    config.require_given()
    path = config.output_path()
    write_report([read_run(run) for run in config.runs()], path)
    print(f"Written: {path} ({file_system.getsize(path) / 1e6:.1f} MB)")


def report_after_training(run_dir: str) -> None:
    """Writes RUN/report.html. Errors are only printed, because the training itself is complete."""
    path = os.path.join(run_dir, REPORT_FILE)
    try:
        write_report([read_run(run_dir)], path)
    except (ValueError, OSError) as error:
        print(f"No report was written: {one_line(str(error))}", file=sys.stderr)
    else:
        print(f"Report: {path}")


def write_report(runs: Sequence[RunRecord], path: str) -> None:
    """Writes the report of one or several runs as an HTML file without links to other files."""
    charts, left_out = charts_of(runs)
    # Every text that comes from the runs' files is escaped, except within the drawn charts, where
    # matplotlib escapes it.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    now = datetime.datetime.now(datetime.UTC)
    page = environment.get_template(TEMPLATE).render(
        names=run_names(runs),
        runs=runs,
        date=now.isoformat(sep=" ", timespec="minutes")[:16],
        charts=[Markup(svg(chart)) for chart in charts],
        left_out=left_out,
        warnings=[warning_signs(run) for run in runs],
        pictures=[_pictures(run, len(runs)) for run in runs],
        summary=summary_rows(runs),
        settings=settings_rows(runs),
        data=data_rows(runs),
        machine=machine_rows(runs),
    )
    # File names that are not UTF-8 contain lone surrogates, which cannot be encoded.
    write_text(path, page.encode("utf-8", "backslashreplace").decode())


def _pictures(run: RunRecord, num_runs: int) -> dict[str, Picture | list[Picture] | None]:
    """Returns the pictures of a run: real images, last sheet, earlier sheets, nearest images."""
    most = max(2, min(MOST_SHEETS, MOST_SHEETS_OF_ALL // num_runs))
    sheets = evenly_chosen(run.sheets, most) if run.sheets else {}
    limit = TOTAL_BYTES // (num_runs * (most + 2))
    drawn = [
        picture_of_file(path, f"iteration {iteration:,}", limit)
        for iteration, path in sheets.items()
    ]
    return {
        "reals": picture_of_file(run.reals, "real images", limit) if run.reals else None,
        "last": drawn[-1] if drawn else None,
        "earlier": drawn[:-1],
        "nearest": nearest_reals(run, limit),
    }


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
      name: Title of the row.
      values: One text for each run.
      marked: Whether a run's setting differs from the default. Settings that are not marked are
        hidden until the reader opens them.
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
    """Returns the rows of the summary: state, length and speed of every run."""
    return [Row(name, tuple(of(run) for run in runs)) for name, of in SUMMARY.items()]


def settings_rows(runs: Sequence[RunRecord]) -> list[Row]:
    """Returns a row for every setting, marked if a run differs from the default."""
    flats = [run.config.flat() for run in runs]
    rows = []
    for field in TrainConfig.settings():
        values = [flat[field.name] for flat in flats]
        marked = any(value != field.default for value in values)
        texts = tuple(_text(value) for value in values)
        rows.append(Row(f"--{flag_name(field)}", texts, marked, field.metadata["help"]))
    return rows


def data_rows(runs: Sequence[RunRecord]) -> list[Row]:
    """Returns rows with what is known about the data of every run."""
    return [Row(name, tuple(of(run) for run in runs)) for name, of in DATA.items()]


def machine_rows(runs: Sequence[RunRecord]) -> list[list[Row]]:
    """Returns, for each run, one row for each time that it was started or resumed."""
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
    return f"{step.global_batch_size:,} ({step.num_d_steps} D steps per iteration)"


def _model(run: RunRecord) -> str:
    model = run.config.model
    return shown(model.architecture) or f"{model.variant}, {model.resolution} pixels"


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
    if isinstance(value, dict):
        return json.dumps(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


Cell = Callable[[RunRecord], str]
SUMMARY: Mapping[str, Cell] = {
    "Folder": lambda run: run.path,
    "State": _progress,
    "Training time": _duration,
    "Images seen": lambda run: MISSING if run.images_seen is None else f"{run.images_seen:,}",
    "Images per second, median": _rate,
    "Model": _model,
    "Batch size": _batch,
    "Started from": _source_model,
    "Checkpoints": lambda run: ", ".join(f"{i:,}" for i in run.checkpoints) or MISSING,
}
DATA: Mapping[str, Cell] = {
    "Data set": lambda run: run.config.data.dataset,
    "Split": lambda run: _text(run.config.data.split),
    "Images": lambda run: f"{run.identity.num_images:,}" if run.identity else MISSING,
    "Classes": _classes,
    "Images per class": _per_class,
    "Hash of labels and image locations": lambda run: (
        run.identity.index_sha256[:SHOWN_OF_HASH] if run.identity else MISSING
    ),
}
