"""Settings of `python -m tf_biggan.report`. No TensorFlow is imported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from tf_biggan import checks
from tf_biggan.cli.settings import Settings, setting
from tf_biggan.files.file_paths import LISTED_PATHS, ONE_PATH

REPORT_FILE = "report.html"
ENDING = ".html"
MOST_RUNS = 8


@dataclass(frozen=True)
class ReportConfig(Settings):
    """The runs to report on, and the file to write."""

    required: ClassVar = ("run_dir",)
    help_groups: ClassVar = {"Runs": ("run_dir",), "Output": ("output",)}

    run_dir: str | None = setting(
        None,
        f"Folder of a run. Up to {MOST_RUNS} folders, separated by commas, give one report that"
        " compares the runs.",
        path=LISTED_PATHS,
    )
    output: str | None = setting(
        None,
        f"File to write (.html). Default: {REPORT_FILE} in the folder of the run, or in the current"
        " folder if there are several runs.",
        path=ONE_PATH,
    )

    def __post_init__(self):
        super().__post_init__()
        runs = self.runs()
        checks.require(
            self.run_dir is None or (all(runs) and len(set(runs)) == len(runs)),
            "`run_dir` must be one or more folders separated by commas, with no folder repeated"
            " and no empty name",
            run_dir=self.run_dir,
        )
        checks.require(
            len(runs) <= MOST_RUNS, f"a report compares up to {MOST_RUNS} runs", runs=len(runs)
        )
        checks.require(
            self.output is None or self.output.lower().endswith(ENDING),
            f"`output` must end in {ENDING}",
            output=self.output,
        )

    def runs(self) -> tuple[str, ...]:
        """Returns the folders of the runs."""
        return (
            tuple(part.strip() for part in (self.run_dir or "").split(",")) if self.run_dir else ()
        )

    def output_path(self) -> str:
        """Returns the path of the file to write."""
        if self.output is not None:
            return self.output
        runs = self.runs()
        return os.path.join(runs[0], REPORT_FILE) if len(runs) == 1 else REPORT_FILE
