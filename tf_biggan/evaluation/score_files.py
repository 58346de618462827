"""The files of an evaluation: scores.json, scores.csv and of a curve scores.png.

A later evaluation does not replace earlier scores: their files are renamed to scores-1.json,
scores-1.csv and so on first, so that scores.json always holds the newest scores.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence

from tf_biggan.evaluation import report
from tf_biggan.evaluation.evaluator import Scores
from tf_biggan.evaluation.truncation_curve import Curve, chart
from tf_biggan.files.png import save_png

TABLE, CHART = ".csv", ".png"


def write_scores(
    path: str,
    scores: Scores,
    protocol: Mapping[str, object],
    title: str,
    curve: Curve | None = None,
) -> list[str]:
    """Writes the files, each under a temporary name first.

    Args:
      path: of the JSON file; the others lie beside it.
      scores: of one truncation, or of a curve those without truncation.
      protocol: how the scores were made.
      title: a line above the chart.
      curve: scores along truncations; None for one score.

    Returns:
      Lines that say what was written, and where earlier scores are now.
    """
    stem = os.path.splitext(path)[0]
    written = [path, stem + TABLE] + ([stem + CHART] if curve else [])
    text = report.to_json(scores, protocol, curve)
    lines = []
    if not _has_the_same(path, text):
        lines = _keep_earlier(path, written)
    report.write_text(path, text)
    report.write_text(stem + TABLE, report.to_csv(scores, protocol, curve))
    if curve:
        save_png(chart(curve, title), stem + CHART)
    return [*lines, f"Written: {', '.join(written)}"]


def _content(text: str) -> dict:
    """What a JSON file of scores holds, without the versions; {} of other files."""
    try:
        content = json.loads(text)
        content["protocol"].pop("versions", None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return content


def _has_the_same(path: str, text: str) -> bool:
    return _content(_read(path)) == _content(text)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _keep_earlier(path: str, written: Sequence[str]) -> list[str]:
    """Renames the files that would be replaced, and the chart of an earlier curve."""
    stem, ending = os.path.splitext(path)
    had_curve = "curve" in _content(_read(path))
    names = [*written, stem + CHART] if had_curve else written
    earlier = [name for name in dict.fromkeys(names) if os.path.exists(name)]
    if not earlier:
        return []
    number = _next_number(stem)
    for name in earlier:
        os.rename(name, f"{stem}-{number}{os.path.splitext(name)[1]}")
    return [f"Earlier scores are kept: {path} is now {stem}-{number}{ending}"]


def _next_number(stem: str) -> int:
    folder, name = os.path.split(stem)
    numbered = re.compile(re.escape(name) + r"-(\d+)\.\w+")
    found = [numbered.fullmatch(entry) for entry in os.listdir(folder or ".")]
    return 1 + max((int(match[1]) for match in found if match), default=0)
