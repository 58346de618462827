"""Computes a table of batch-norm statistics with one row for each truncation on a grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from tf_biggan.cli.progress import Progress
from tf_biggan.exporting.inference_generator import inference_generator
from tf_biggan.generation import latents as truncation
from tf_biggan.generation.image_maker import STANDING_START
from tf_biggan.generation.standing_statistics import StandingStatistics


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
    """Yields latents [N, latent_dim] and labels [N] of each batch for one row of the table."""
    for number in range(drawing.batches):
        indices = STANDING_START + number * drawing.batch_size + np.arange(drawing.batch_size)
        level = row / (drawing.rows - 1)
        z = truncation.latents(drawing.seed, indices, generator.latent_dim, level, drawing.mode)
        yield z.numpy(), _labels(generator.num_classes, drawing.seed, indices)
        progress.add(drawing.batch_size, f"truncation {level:.2f}")


def _labels(num_classes, seed, indices):
    if not num_classes:
        return None
    return truncation.labels(seed, indices, np.full(num_classes, 1.0 / num_classes)).numpy()
