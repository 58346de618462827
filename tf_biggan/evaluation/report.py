"""Scores for people and for programs: a table, a JSON file with the whole protocol, a CSV file."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

import tf_biggan
from tf_biggan.evaluation.evaluator import Scores
from tf_biggan.evaluation.truncation_curve import STD, Curve
from tf_biggan.files.atomic import replaced

MOST_CLASSES = 20
# What the CSV file says about how images were generated.
DRAWING = ("seed", "truncation", "truncation_mode", "bn", "label_sampling")


def table(scores: Scores, decimals: int) -> Iterator[str]:
    """Lines for a terminal: a score each, with its spread and interval, then classes."""
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
    """The text of scores.json: scores, intervals, classes, notes, and how they were made."""
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
    """The text of scores.csv: a row for every score, or of a curve for every truncation.

    The columns after the scores say what was scored and how; the JSON file has the rest.
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
        **{name: images.get(name) for name in DRAWING},
        "reference": reference.get("statistics") or reference.get("images"),
        "reference_images": reference.get("count"),
        "protocol": protocol.get("name"),
        "tf_biggan": tf_biggan.__version__,
    }


def versions() -> dict[str, str]:
    """Versions of what takes part."""
    return {
        "tf_biggan": tf_biggan.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def write_text(path: str, text: str) -> None:
    """Writes a file under a temporary name, then renames it; makes its folder."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with replaced(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
