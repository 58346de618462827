"""Each row of the statistics table equals the standing statistics at its truncation."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.exporting.inference_generator import (
    TableSpec,
    folded_arrays,
    inference_generator,
    statistics_table,
)
from tf_biggan.generation import latents as truncation
from tf_biggan.generation.standing_statistics import (
    STANDING_START,
    is_statistic,
    with_standing_statistics,
)
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path

ROWS, BATCHES, SIZE = 6, 2, 8


@pytest.fixture(scope="module")
def generator():
    return Generator("biggan32", 3, base_channels=2, latent_dim=8, spectral_norm=False, seed=0)


def _table(generator, mode):
    spec = TableSpec(ROWS, BATCHES, SIZE, mode, seed=3)
    return statistics_table(generator.get_config(), folded_arrays(generator), spec)


def _standing(generator, level, mode):
    """Returns the standing statistics that `evaluate` computes for the unfolded generator."""
    batches = []
    for number in range(BATCHES):
        indices = STANDING_START + number * SIZE + np.arange(SIZE)
        z = truncation.latents(3, indices, 8, level, mode).numpy()
        batches.append((z, truncation.labels(3, indices, np.full(3, 1 / 3)).numpy()))
    return with_standing_statistics(generator, batches)


@pytest.mark.parametrize("mode", ["scale", "resample"])
def test_rows_are_standing_statistics_at_their_truncations(generator, mode):
    table = _table(generator, mode)
    assert {array.shape[0] for array in table.values()} == {ROWS}
    full = inference_generator(generator.get_config(), folded_arrays(generator) | table)
    z, labels = np.ones((2, 8), "float32"), np.array([0, 2])
    for row in (2, 5):
        standing = _standing(generator, row / (ROWS - 1), mode)
        expected = {p: v for p, v in variables_by_path(standing).items() if is_statistic(p)}
        assert set(expected) == set(table)
        for path, variable in expected.items():
            np.testing.assert_allclose(table[path][row], variable[0], rtol=2e-4, atol=2e-5)
        images = np.asarray(full(z, labels, truncation=row / (ROWS - 1)))
        np.testing.assert_allclose(images, standing(z, labels), atol=1e-4)
    for array in table.values():
        np.testing.assert_array_equal(array[0], array[1])
    # All rows use the same samples, so neighbouring rows are close and the ends differ.
    variance = table["block_0/norm_1/moving_variance"].mean(axis=1)
    assert (np.diff(variance[1:]) > 0).all()
