"""Standing statistics: batch norms that use means over many batches of the same kind of latents.

Source: the paper, appendix D. BigGAN-PyTorch (utils.py, accumulate_standing_stats) always draws
them with the spread 1; here the batches are given, so that they can be those of a truncation.
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
    """A generator of the same weights; made in the scope of the strategy that is to run it.

    Args:
      **overrides: arguments of `Generator` to replace. With another `num_statistics` the
        statistics start anew.
    """
    # The initial values are overwritten at once; "n02" is the cheapest to draw.
    config = {**generator.get_config(), "initializer": "n02", **overrides}
    copy = Generator.from_config(config)
    sources = variables_by_path(generator)
    for path, variable in variables_by_path(copy).items():
        if variable.shape == sources[path].shape:
            variable.assign(sources[path])
    return copy


def is_statistic(path: str) -> bool:
    """Whether a variable is a running mean or variance of a batch norm."""
    return path.endswith(STATISTICS)


def with_standing_statistics(
    generator: Generator, batches: Iterable[tuple[np.ndarray, np.ndarray | None]]
) -> Generator:
    """A copy whose statistics are the means of those of every batch; `generator` stays as it is.

    The variance is the mean of the batches' biased variances. As in the reference every forward
    pass moves the u of the spectral norms, those of the copy.

    Args:
      generator: any; of a table over truncation the copy keeps one row.
      batches: (z [N, latent_dim], labels [N] or None); equal sizes, so that all count the same.

    Raises:
      ValueError: there is no batch.
    """
    copy = copy_generator(generator, bn_momentum=0.0, num_statistics=1)
    means = StandingStatistics(copy).means(batches)
    for path, variable in variables_by_path(copy).items():
        if path in means:
            variable.assign(means[path])
    return copy


class StandingStatistics:
    """Statistics of kinds of latents, one after another, from one network and one graph.

    Args:
      generator: of one row of statistics and `bn_momentum` 0, so that its running statistics are
        those of the last batch; every pass moves them and the u of spectral norms.
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
        """Means over the batches' statistics, float64 [1, channels], by path.

        Raises:
          ValueError: there is no batch.
        """
        sums, count = dict.fromkeys(self._variables, 0.0), 0
        for z, labels in batches:
            self._forward(tf.constant(z), None if labels is None else tf.constant(labels))
            sums = {p: sums[p] + np.asarray(v, np.float64) for p, v in self._variables.items()}
            count += 1
        checks.require(count > 0, "standing statistics need at least one batch", batches=count)
        return {path: total / count for path, total in sums.items()}
