"""Standing statistics: batch-norm statistics that are averaged over many batches.

Source: the paper, appendix D. BigGAN-PyTorch (utils.py, accumulate_standing_stats) always samples
latents without truncation. Here, they are sampled at the truncation for which the statistics are
used.

Every command takes its standing statistics from `standing_batches`, so that they depend on the
model and the truncation alone, not on the seeds and classes of the images that are made with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.terminal import Progress
from tf_biggan.generation import latents as sampling
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path

STATISTICS = ("moving_mean", "moving_variance")
STANDING_BATCHES = 100
STANDING_BATCH_SIZE = 64
STANDING_SEED = 0
# Standing statistics use indices from this number on, which no sampled image has.
STANDING_START = 1 << 30


def standing_inputs(
    generator, indices, truncation: float | None, mode: str, seed: int = STANDING_SEED
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns latents [N, latent_dim] and classes [N] that no sampled image shares.

    Classes are sampled uniformly. They are None if the generator is unconditional.

    Args:
      generator: Generator that will receive the inputs.
      indices: Integers [N] from 0. An input depends on its index and the seed alone.
      truncation: Truncation of the latents; None for N(0, I).
      mode: Meaning of the truncation, see `tf_biggan.generation.latents`.
      seed: Seed of the latents and classes.
    """
    indices = STANDING_START + np.asarray(indices)
    z = sampling.latents(seed, indices, generator.latent_dim, truncation, mode).numpy()
    if not generator.num_classes:
        return z, None
    probabilities = np.full(generator.num_classes, 1.0 / generator.num_classes)
    return z, sampling.labels(seed, indices, probabilities).numpy()


def standing_batches(
    generator,
    truncation: float | None,
    mode: str,
    progress: Progress,
    *,
    batches: int = STANDING_BATCHES,
    batch_size: int = STANDING_BATCH_SIZE,
    seed: int = STANDING_SEED,
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yields the `standing_inputs` of each batch, and counts the images in `progress`."""
    note = "no truncation" if truncation is None else f"truncation {truncation:.2f}"
    for start in range(0, batches * batch_size, batch_size):
        indices = np.arange(start, start + batch_size)
        yield standing_inputs(generator, indices, truncation, mode, seed)
        progress.add(batch_size, note)


def copy_generator(generator: Generator, **overrides) -> Generator:
    """Returns a copy of a generator with the same weights.

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
    """Returns whether a variable's path names a running mean or variance of a batch norm."""
    return path.endswith(STATISTICS)


def with_standing_statistics(
    generator: Generator, batches: Iterable[tuple[np.ndarray, np.ndarray | None]]
) -> Generator:
    """Returns a copy of a generator with standing batch-norm statistics.

    The mean is the average of the batches' means, and the variance is the average of their biased
    variances. As in BigGAN-PyTorch, each forward pass also updates the vectors u of spectral norm,
    but only those of the copy.

    Args:
      generator: Generator to copy, which is not changed. If its table of statistics has several
        rows, the copy has a single row.
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
    """Computes standing statistics several times, for example for each truncation, in one graph.

    Args:
      generator: Generator with one row of statistics and `bn_momentum` 0, so that its running
        statistics are those of the last batch. Each forward pass changes these statistics and the
        vectors u of spectral norm.
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
        checks.require(
            count > 0, "standing statistics need at least one batch of latents", batches=count
        )
        return {path: total / count for path, total in sums.items()}
