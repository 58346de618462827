"""torch-fidelity's scores of features that a rule makes."""

from __future__ import annotations

import functools
import json

import numpy as np

from tests.golden import rule
from tests.golden_files import FOLDER

GOLDEN = json.loads((FOLDER / "metrics_public.json").read_text())
METRICS = GOLDEN["cases"]


@functools.cache
def feature_sets(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns generated and real features [N, D], float32, after checking their recorded sums."""
    case = METRICS[name]
    generated, real = rule.feature_sets(case["seed"], case["n"], case["dim"])
    sums = [side.astype(np.float64).sum() for side in (generated, real)]
    expected = [case["input_check"]["a_sum"], case["input_check"]["b_sum"]]
    np.testing.assert_allclose(sums, expected, rtol=1e-7)
    return generated, real


def logits_set() -> np.ndarray:
    """Returns logits [500, 1008], float32, after checking their recorded sum."""
    case = GOLDEN["isc"]
    logits = rule.logits_set(case["seed"], case["n"], case["classes"])
    np.testing.assert_allclose(logits.astype(np.float64).sum(), case["sum"], rtol=1e-7)
    return logits
