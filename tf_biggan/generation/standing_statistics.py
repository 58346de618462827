"""Standing statistics: batch-norm statistics that are averaged over many batches.

Source: the paper, appendix D. BigGAN-PyTorch (utils.py, accumulate_standing_stats) always samples
latents without truncation. Here the caller passes the batches, so that they can be truncated.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path

STATISTICS = ("moving_mean", "moving_variance")


def copy_generator(generator: Generator, **overrides) -> Generator:
    """Returns a generator with the same weights.

    Call it in the scope of the strategy that will run the copy.

    Args:
      generator: Generator to copy.
      **overrides: Arguments of `Generator` to change. If `num_statistics` changes, the copy has
        initial batch-norm statistics.
    """
    # All initial values are overwritten below, and "n02" is the fastest initializer.
    config = {**generator.get_config(), "initializer": "n02", **overrides}
    copy = Generator.from_config(config)
    sources = variables_by_path(generator)
    for path, variable in variables_by_path(copy).items():
        if variable.shape == sources[path].shape:
            variable.assign(sources[path])
    return copy


def is_statistic(path: str) -> bool:
    """Returns whether the path is that of a running mean or variance of a batch norm."""
    return path.endswith(STATISTICS)


def with_standing_statistics(
    generator: Generator, batches: Iterable[tuple[np.ndarray, np.ndarray | None]]
) -> Generator:
    """Returns a copy of a generator whose statistics are averaged over batches.

    The mean is the average of the batches' means, the variance that of their biased variances. As
    in BigGAN-PyTorch, each forward pass also updates the u of the spectral norms; here only those
    of the copy.

    Args:
      generator: Generator to copy, which is not changed. If it has a table of statistics over
        truncation, the copy has a single row.
      batches: Pairs of latents [N, latent_dim] and labels [N] or None, all of the same N, so that
        each batch has the same weight.

    Raises:
      ValueError: There is no batch.
    """
    copy = copy_generator(generator, bn_momentum=0.0, num_statistics=1)
    means = StandingStatistics(copy).means(batches)
    for path, variable in variables_by_path(copy).items():
        if path in means:
            variable.assign(means[path])
    return copy


class StandingStatistics:
    """Computes standing statistics repeatedly, for example per truncation, with a single graph.

    Args:
      generator: Generator with one row of statistics and `bn_momentum` 0, so that its running
        statistics are those of the last batch. Each forward pass changes them and the u of the
        spectral norms.
    """

    def __init__(self, generator: Generator):
        self._variables = {
            path: variable
            for path, variable in variables_by_path(generator).items()
            if is_statistic(path)
        }
        self._forward = tf.function(lambda z, labels: generator(z, labels, training=True))

    def means(
        self, batches: Iterable[tuple[np.ndarray, np.ndarray | None]]
    ) -> dict[str, np.ndarray]:
        """Returns each statistic averaged over the batches, float64 [1, channels], by path.

        Args:
          batches: As for `with_standing_statistics`.

        Raises:
          ValueError: There is no batch.
        """
        sums, count = dict.fromkeys(self._variables, 0.0), 0
        for z, labels in batches:
            self._forward(tf.constant(z), None if labels is None else tf.constant(labels))
            sums = {p: sums[p] + np.asarray(v, np.float64) for p, v in self._variables.items()}
            count += 1
        checks.require(count > 0, "standing statistics need at least one batch", batches=count)
        return {path: total / count for path, total in sums.items()}
