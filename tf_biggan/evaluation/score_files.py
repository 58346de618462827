"""Scores as a table on the terminal and as the files scores.json, scores.csv and scores.png.

A later evaluation does not replace earlier scores. It first renames their files to scores-1.json,
scores-1.csv and so on, so that scores.json always holds the newest scores.
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

import tf_biggan
from tf_biggan.evaluation.evaluator import Scores
from tf_biggan.evaluation.truncation_curve import STD, Curve, save_chart
from tf_biggan.files import file_system
from tf_biggan.files.atomic import write_text

TABLE_ENDING, CHART_ENDING = ".csv", ".png"
# Highest number of classes that the table lists one by one.
MOST_CLASSES = 20
# Columns of the CSV file that say how images were generated.
GENERATION_COLUMNS = ("seed", "truncation", "truncation_mode", "bn", "label_sampling")


def title(scores: Scores, evaluated: str) -> str:
    """Returns one line that names the scored images and the reference, and their numbers.

    Args:
      scores: the scores.
      evaluated: path of the model or of the images.
    """
    model = scores.images.get("model", {})
    facts = [f"{key} {model[key]}" for key in ("weights", "iteration") if key in model]
    against = scores.reference.get("statistics") or scores.reference.get("images")
    count = scores.reference.get("count")
    which = f" ({', '.join(facts)})" if facts else ""
    size = f" ({count:,} images)" if count else ""
    return f"{evaluated}{which}: {scores.images['count']:,} images against {against}{size}"


def table(scores: Scores, decimals: int) -> Iterator[str]:
    """Yields one line per score with its standard deviation and interval, then scores by class."""
    width = max(map(len, scores.values), default=0)
    for name, value in scores.values.items():
        if name.endswith(STD):
            continue
        line = f"{name:<{width}}  {value:.{decimals}f}"
        if name + STD in scores.values:
            line += f" +- {scores.values[name + STD]:.{decimals}f}"
        if name in scores.intervals:
            low, high = scores.intervals[name]
            line += f"  (95 %: {low:.{decimals}f} to {high:.{decimals}f})"
        yield line
    for name, by_class in scores.per_class.items():
        yield f"{name} by class: {_by_class(by_class)}"


def _by_class(values: Mapping[str, float]) -> str:
    if len(values) <= MOST_CLASSES:
        return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    worst, best = min(values, key=values.get), max(values, key=values.get)
    median = float(np.median(list(values.values())))
    return (
        f"lowest {values[worst]:.3f} ({worst}), median {median:.3f},"
        f" highest {values[best]:.3f} ({best})"
    )


def to_json(scores: Scores, protocol: Mapping[str, object], curve: Curve | None = None) -> str:
    """Returns the text of scores.json: all scores and notes, and how they were computed.

    Args:
      scores: the scores.
      protocol: how the scores were computed, as JSON values.
      curve: scores at several truncations; None for one truncation.
    """
    content = {
        "scores": scores.values,
        "intervals": {name: list(pair) for name, pair in scores.intervals.items()},
        "per_class": scores.per_class,
        "notes": scores.notes,
        **({} if curve is None else {"curve": curve.to_dict()}),
        "protocol": {
            "images": scores.images,
            "reference": scores.reference,
            "extractors": scores.extractors,
            **protocol,
            "versions": versions(),
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def to_csv(scores: Scores, protocol: Mapping[str, object], curve: Curve | None = None) -> str:
    """Returns the text of scores.csv: one row per score; for a curve, one row per truncation.

    The columns after the scores say what was scored and how. The JSON file has all details.

    Args:
      scores: the scores.
      protocol: how the scores were computed, as JSON values.
      curve: scores at several truncations; None for one truncation.
    """
    how = _main_choices(scores, protocol)
    rows = _rows_of_scores(scores, how) if curve is None else _rows_of_curve(curve, how)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows_of_scores(scores: Scores, how: Mapping[str, object]) -> list[dict]:
    rows = []
    for name, value in scores.values.items():
        if not name.endswith(STD):
            low, high = scores.intervals.get(name, (None, None))
            std = scores.values.get(name + STD)
            rows.append(
                {"score": name, "value": value, "std": std, "low": low, "high": high, **how}
            )
    return rows


def _rows_of_curve(curve: Curve, how: Mapping[str, object]) -> list[dict]:
    how = {name: value for name, value in how.items() if name != "truncation"}
    return [
        {
            "truncation": point.truncation,
            **point.scores,
            **how,
            "truncation_mode": None if point.truncation is None else curve.mode,
        }
        for point in curve.points
    ]


def _main_choices(scores: Scores, protocol: Mapping[str, object]) -> dict[str, object]:
    images, reference = scores.images, scores.reference
    model = images.get("model", {})
    return {
        "model": model.get("path", images.get("images")),
        "weights": model.get("weights"),
        "iteration": model.get("iteration"),
        "images": images.get("count"),
        **{name: images.get(name) for name in GENERATION_COLUMNS},
        "reference": reference.get("statistics") or reference.get("images"),
        "reference_images": reference.get("count"),
        "protocol": protocol.get("name"),
        "tf_biggan": tf_biggan.__version__,
    }


def versions() -> dict[str, str]:
    """Returns the versions of this package, its main dependencies and Python."""
    return {
        "tf_biggan": tf_biggan.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def write_scores(
    path: str,
    scores: Scores,
    protocol: Mapping[str, object],
    title: str,
    curve: Curve | None = None,
) -> list[str]:
    """Writes scores.json and scores.csv, and scores.png for a curve; renames earlier files first.

    Args:
      path: path of the JSON file; the other files are written beside it.
      scores: the scores of one truncation. For a curve, the scores without truncation.
      protocol: how the scores were computed, as JSON values.
      title: title of the chart.
      curve: scores at several truncations; None for one truncation.

    Returns:
      Lines that tell the user what was written and where earlier scores are.
    """
    stem = os.path.splitext(path)[0]
    written = [path, stem + TABLE_ENDING] + ([stem + CHART_ENDING] if curve else [])
    text = to_json(scores, protocol, curve)
    lines = []
    if not _has_the_same(path, text):
        lines = _keep_earlier(path, written)
    write_text(path, text)
    write_text(stem + TABLE_ENDING, to_csv(scores, protocol, curve))
    if curve:
        save_chart(curve, title, stem + CHART_ENDING)
    return [*lines, f"Written: {', '.join(written)}"]


def _content(text: str) -> dict:
    """Returns the content of a file of scores without the software versions; {} for other files."""
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
        with file_system.open_file(path, "r", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _keep_earlier(path: str, written: Sequence[str]) -> list[str]:
    """Renames the files that would be replaced, and the chart of an earlier truncation curve.

    Returns:
      Lines that tell the user where the earlier scores are.
    """
    stem, ending = os.path.splitext(path)
    had_curve = "curve" in _content(_read(path))
    names = [*written, stem + CHART_ENDING] if had_curve else written
    earlier = [name for name in dict.fromkeys(names) if file_system.exists(name)]
    if not earlier:
        return []
    number = _next_number(stem)
    for name in earlier:
        file_system.rename(name, f"{stem}-{number}{os.path.splitext(name)[1]}")
    return [f"Earlier scores are kept: {path} is now {stem}-{number}{ending}"]


def _next_number(stem: str) -> int:
    folder, name = os.path.split(stem)
    numbered = re.compile(re.escape(name) + r"-(\d+)\.\w+")
    found = [numbered.fullmatch(entry) for entry in file_system.listdir(folder or ".")]
    return 1 + max((int(match[1]) for match in found if match), default=0)
