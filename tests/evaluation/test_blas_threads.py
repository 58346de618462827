"""Decompositions on one thread, where that can be asked for."""

from __future__ import annotations

import sys
import types

import numpy as np

from tf_biggan.evaluation import frechet
from tf_biggan.evaluation.blas_threads import one_blas_thread


def test_decompositions_ask_for_one_thread(monkeypatch):
    asked = []

    class Limits:
        def __init__(self, limits, user_api):
            asked.append((limits, user_api))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("left")

    module = types.SimpleNamespace(threadpool_limits=Limits)
    monkeypatch.setitem(sys.modules, "threadpoolctl", module)
    statistics = frechet.feature_statistics(np.random.RandomState(0).standard_normal((3, 4)))
    frechet.frechet_distance(statistics, statistics)
    assert asked == [(1, "blas"), "left"] * 3


def test_without_the_package_all_threads_are_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with one_blas_thread():
        assert np.linalg.svd(np.eye(3), compute_uv=False).sum() == 3
