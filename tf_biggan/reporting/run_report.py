"""Writes the report of one or several runs: reads them, draws their charts, fills in the page."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Sequence

import jinja2
from markupsafe import Markup

from tf_biggan.cli.report_settings import REPORT_FILE, ReportConfig
from tf_biggan.cli.terminal import one_line
from tf_biggan.files.atomic import write_text
from tf_biggan.reporting.charts import svg
from tf_biggan.reporting.curves import charts_of, run_names
from tf_biggan.reporting.embedded_pictures import (
    TOTAL_BYTES,
    Picture,
    evenly_chosen,
    picture_of_file,
)
from tf_biggan.reporting.nearest_reals import nearest_reals
from tf_biggan.reporting.run_record import RunRecord, read_run
from tf_biggan.reporting.tables import data_rows, machine_rows, settings_rows, summary_rows
from tf_biggan.reporting.warning_signs import warning_signs

TEMPLATE = "report_page.html"
MOST_SHEETS = 8
# Limit for the sheets of all runs together, so that pictures stay large enough.
MOST_SHEETS_OF_ALL = 16


def report(config: ReportConfig) -> None:
    """Writes the report that the settings describe.

    Raises:
      ValueError: A folder is not a run, or one of its files is damaged; nothing is written.
    """
    config.require_given()
    path = config.output_path()
    write_report([read_run(run) for run in config.runs()], path)
    print(f"Written: {path} ({os.path.getsize(path) / 1e6:.1f} MB)")


def report_after_training(run_dir: str) -> None:
    """Writes RUN/report.html. Problems are printed, because the training itself is complete."""
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
