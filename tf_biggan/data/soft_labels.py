"""Reads a table of soft labels: for each image, a weight for each class.

The table is a CSV file in the folder of the images:

    file,finch,owl
    a.jpg,0.75,0.25
    dusk/b.png,0,1

The header names the classes. Each row has the path of an image relative to the folder, and one
weight for each class. Weights are not negative and sum to 1.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import posixpath
from collections.abc import Sequence

import numpy as np

from tf_biggan import checks
from tf_biggan.files.text_files import read_text

SOFT_LABELS_FILE = "soft_labels.csv"
FILE_COLUMN = "file"
# Largest accepted difference between the sum of a row and 1. It allows for weights of three digits.
TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class SoftLabels:
    """A table of soft labels.

    Attributes:
      path: Path of the table.
      class_names: Names of the classes.
      files: Paths of the images relative to the table's folder, sorted by folder and then by name.
      lines: Number of each image's line in the table, for messages.
      weights: Weights of the classes, float32 [N, classes]. Every row sums to 1.
    """

    path: str
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    lines: tuple[int, ...]
    weights: np.ndarray


def read_soft_labels(path: str) -> SoftLabels:
    """Reads a table of soft labels.

    Raises:
      ValueError: The table cannot be read, or a row is wrong. The message is one line that names
        the table, the line and the image.
    """
    reader = csv.reader(io.StringIO(read_text(path, f"soft labels {path!r}")))
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ValueError(
            f"Cannot read soft labels {path!r}, line {reader.line_num}: {error}."
        ) from None
    class_names = _class_names(path, rows[0][1] if rows else [])
    checks.require(len(rows) > 1, "the table of soft labels has no images; add rows", table=path)
    lines: dict[str, int] = {}
    weights = np.empty((len(rows) - 1, len(class_names)))
    for place, (line, row) in enumerate(rows[1:]):
        file = posixpath.normpath(row[0].strip())
        received = {"table": path, "line": line, "image": row[0].strip()}
        checks.require(
            file not in lines,
            "an image must have one row of soft labels; remove the other rows",
            **received,
            other_line=lines.get(file),
        )
        lines[file] = line
        weights[place] = _weights(row[1:], len(class_names), received)
    files = tuple(lines)
    order = sorted(range(len(files)), key=lambda place: posixpath.split(files[place]))
    return SoftLabels(
        path,
        class_names,
        tuple(files[place] for place in order),
        tuple(lines[files[place]] for place in order),
        (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)[order],
    )


def _class_names(path: str, header: Sequence[str]) -> tuple[str, ...]:
    names = [cell.strip() for cell in header]
    classes = names[1:]
    checks.require(
        len(names) > 1 and names[0] == FILE_COLUMN and all(classes),
        f"the first line of soft labels must be {FILE_COLUMN} and the names of the classes,"
        f" separated by commas, such as {FILE_COLUMN},finch,owl",
        table=path,
        first_line=",".join(names),
    )
    twice = sorted({name for name in classes if classes.count(name) > 1})
    checks.require(
        not twice,
        "the first line of soft labels must name every class once",
        table=path,
        named_twice=twice[: checks.MAX_LISTED],
    )
    return tuple(classes)


def _weights(cells: Sequence[str], num_classes: int, received: dict[str, object]) -> list[float]:
    checks.require(
        len(cells) == num_classes,
        "a row of soft labels must have a file and one weight for each class of the first line",
        **received,
        weights=len(cells),
        classes=num_classes,
    )
    weights = [_number(cell) for cell in cells]
    wrong = [
        cell.strip()
        for cell, weight in zip(cells, weights, strict=True)
        if not 0 <= weight < math.inf
    ]
    checks.require(
        not wrong,
        "weights of soft labels must be numbers of at least 0",
        **received,
        wrong=wrong[: checks.MAX_LISTED],
    )
    total = math.fsum(weights)
    checks.require(
        abs(total - 1) <= TOLERANCE,
        "weights of an image must sum to 1; correct the row, or divide it by its sum",
        **received,
        sum=round(total, 6),
    )
    return weights


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
