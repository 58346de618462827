"""Computes a table of batch-norm statistics with one row for each truncation on a grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tf_biggan.cli.progress import Progress
from tf_biggan.exporting.inference_generator import inference_generator
from tf_biggan.generation.standing_statistics import StandingStatistics, standing_batches


@dataclasses.dataclass(frozen=True)
class TableDrawing:
    """Size of a statistics table and the images from which it is computed.

    Attributes:
      rows: Number of rows. Row i belongs to truncation i / (rows - 1).
      batches: Number of batches for each row.
      batch_size: Number of images in a batch.
      mode: Truncation mode, "scale" or "resample". See `tf_biggan.generation.latents`.
      seed: Seed of latents and labels. All rows use the same samples, truncated differently.
    """

    rows: int
    batches: int
    batch_size: int
    mode: str
    seed: int


def statistics_table(
    config: Mapping[str, object], arrays: Mapping[str, np.ndarray], drawing: TableDrawing
) -> dict[str, np.ndarray]:
    """Returns tables [rows, channels] of the mean and variance of every batch norm.

    The statistics are those of the folded generator in training mode, for classes sampled
    uniformly. Row 0 is a copy of row 1, because the generator cannot be run at truncation 0.

    Args:
      config: `Generator.get_config()` of the generator.
      arrays: Folded variables of the generator, by path.
      drawing: Size of the table and the images from which it is computed.

    Returns:
      float32 tables by the path of the batch norm's variable.
    """
    settings = {"bn_momentum": 0.0, "bn_synchronized": False}
    alone = {p: a[-1:] if "/moving_" in p else a for p, a in arrays.items()}
    generator = inference_generator({**config, **settings}, alone)
    statistics = StandingStatistics(generator)
    sizes = {"batches": drawing.batches, "batch_size": drawing.batch_size, "seed": drawing.seed}
    images = (drawing.rows - 1) * drawing.batches * drawing.batch_size
    progress = Progress("Statistics over truncation", images)
    rows = []
    for row in range(1, drawing.rows):
        level = row / (drawing.rows - 1)
        batches = standing_batches(generator, level, drawing.mode, progress, **sizes)
        rows.append(statistics.means(batches))
    progress.close()
    return {
        path: np.concatenate([one[path] for one in (rows[0], *rows)]).astype(np.float32)
        for path in rows[0]
    }
