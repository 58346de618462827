"""Decompositions on one thread."""

from __future__ import annotations

import numpy as np

from tf_biggan.evaluation.scores import blas_threads, frechet


def test_decompositions_ask_for_one_thread(monkeypatch):
    asked = []

    class Limits:
        def __init__(self, limits, user_api):
            asked.append((limits, user_api))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("left")

    monkeypatch.setattr(blas_threads, "threadpool_limits", Limits)
    statistics = frechet.feature_statistics(np.random.RandomState(0).standard_normal((3, 4)))
    frechet.frechet_distance(statistics, statistics)
    assert asked == [(1, "blas"), "left"] * 3
