"""Batch norm statistics over truncation: one row of standing statistics for every grid value."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from tf_biggan.cli.progress import Progress
from tf_biggan.exporting.inference_generator import inference_generator
from tf_biggan.generation import latents as truncation
from tf_biggan.generation.standing_statistics import StandingStatistics

# Latents of the table come from indices that no sampled image has.
FIRST_INDEX = 1 << 30


@dataclasses.dataclass(frozen=True)
class TableDrawing:
    """What a table is taken from.

    Attributes:
      rows: of the table; row i belongs to truncation i / (rows - 1).
      batches: of every row.
      batch_size: images of a batch.
      mode: what the truncation means, see `tf_biggan.generation.latents`.
      seed: of latents and labels, which are the same for all rows.
    """

    rows: int
    batches: int
    batch_size: int
    mode: str
    seed: int


def statistics_table(
    config: Mapping[str, object], arrays: Mapping[str, np.ndarray], drawing: TableDrawing
) -> dict[str, np.ndarray]:
    """Tables [rows, channels] of every batch norm, by the path of the variable.

    They are those of the folded generator in training mode, with classes drawn uniformly. Row 0,
    which no truncation can use alone, is row 1.

    Args:
      config: `Generator.get_config()`.
      arrays: folded variables by path.
      drawing: how many rows, from which images.
    """
    settings = {"bn_momentum": 0.0, "bn_synchronized": False}
    alone = {p: a[-1:] if "/moving_" in p else a for p, a in arrays.items()}
    generator = inference_generator({**config, **settings}, alone)
    statistics = StandingStatistics(generator)
    images = (drawing.rows - 1) * drawing.batches * drawing.batch_size
    progress = Progress("Statistics over truncation", images)
    rows = []
    for row in range(1, drawing.rows):
        rows.append(statistics.means(_batches(generator, drawing, row, progress)))
    progress.close()
    return {
        path: np.concatenate([one[path] for one in (rows[0], *rows)]).astype(np.float32)
        for path in rows[0]
    }


def _batches(generator, drawing, row, progress) -> Iterator:
    for number in range(drawing.batches):
        indices = FIRST_INDEX + number * drawing.batch_size + np.arange(drawing.batch_size)
        level = row / (drawing.rows - 1)
        z = truncation.latents(drawing.seed, indices, generator.latent_dim, level, drawing.mode)
        yield z.numpy(), _labels(generator.num_classes, drawing.seed, indices)
        progress.add(drawing.batch_size, f"truncation {level:.2f}")


def _labels(num_classes, seed, indices):
    if not num_classes:
        return None
    return truncation.labels(seed, indices, np.full(num_classes, 1.0 / num_classes)).numpy()
