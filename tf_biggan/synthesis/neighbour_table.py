"""Neighbours as rows of a table, for a file and for the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tf_biggan.data.source import Source
from tf_biggan.evaluation.image_sets import SourceImages
from tf_biggan.synthesis.neighbour_search import Neighbours

MOST_LINES = 20
SHOWN_IN_LINE = 3


def table_rows(
    names: Sequence[str], source: Source, reference: SourceImages, found: Neighbours
) -> list[dict[str, object]]:
    """JSON values for every sample: its name, and index, place, class, distance of its neighbours.

    Args:
      source: of `reference`; indices are of the images in it.
    """
    return [
        {
            "sample": name,
            "neighbours": [
                {
                    "index": int(reference.indices[row]),
                    "place": source.locate(int(reference.indices[row])),
                    "class": class_of(reference, row),
                    "distance": float(distance),
                }
                for row, distance in zip(found.rows[number], found.distances[number], strict=True)
                if row >= 0
            ],
        }
        for number, name in enumerate(names)
    ]


def medians(found: Neighbours) -> dict[str, float | None]:
    """Typical distances to the nearest real image, from samples and from other real images."""
    return {
        "median_distance": _median(found.distances[:, 0]),
        "median_distance_between_real_images": _median(found.real_distances),
    }


def _median(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def class_of(reference: SourceImages, row: int) -> str:
    """The first name of an image's class, its index without names; "" where it is not known."""
    if reference.labels is None or row < 0:
        return ""
    label = int(reference.labels[row])
    return reference.class_names[label].split(",")[0] if reference.class_names else str(label)


def table_lines(report: Mapping[str, object]) -> list[str]:
    """What is printed of a report: the nearest images of the first samples, and the medians."""
    lines = []
    for sample in report["neighbours"][:MOST_LINES]:
        nearest = ", ".join(
            f"{n['place']} ({n['class']}) {n['distance']:#.4g}"
            if n["class"]
            else f"{n['place']} {n['distance']:#.4g}"
            for n in sample["neighbours"][:SHOWN_IN_LINE]
        )
        lines.append(f"{sample['sample']}: {nearest}")
    more = len(report["neighbours"]) - MOST_LINES
    lines += [f"and {more:,} more"] if more > 0 else []
    both = report["median_distance"], report["median_distance_between_real_images"]
    if None not in both:
        lines.append(
            f"Median distance to the nearest real image: {both[0]:#.4g}; from a real image to"
            f" the nearest other one: {both[1]:#.4g} ({report['distance']})"
        )
    return lines
