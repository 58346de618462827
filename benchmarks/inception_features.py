"""Speed of feature extraction beside torch-fidelity and pytorch-fid, and time and memory of FID.

    python benchmarks/inception_features.py                        ours, and FID of 2048 features
    python benchmarks/inception_features.py --peers=PYTHON         the two peers, by a Python that
                                                                   has torch and them

Weights are random: the work is the same. Images are 32 of 32x32, resize included. Run on an idle
machine; every figure is the best of several repetitions.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

BATCH, SIZE = 32, 32
NUM_IMAGES, NUM_FEATURES = 50_000, 2048

PEERS = """
import sys, time, types
import numpy as np, torch
# Neither peer needs torchvision for this network, but both import it.
try:
    import torchvision
except Exception:
    for name in ("torchvision", "torchvision.models", "torchvision.transforms",
                 "torchvision.datasets", "torchvision.transforms.functional"):
        sys.modules[name] = types.ModuleType(name)
images = torch.from_numpy(np.random.RandomState(0).randint(0, 256, ({batch}, 3, {size}, {size}))
                          .astype(np.uint8))

def rate(function):
    best = float("inf")
    with torch.no_grad():
        function()
        for _ in range({repeats}):
            start = time.perf_counter()
            function()
            best = min(best, time.perf_counter() - start)
    return {batch} / best

def torch_fidelity():
    import torch_fidelity.feature_extractor_inceptionv3 as module
    from unittest import mock
    cls = module.FeatureExtractorInceptionV3
    empty = mock.patch.object(module, "load_state_dict_from_url", lambda *a, **k: {{}}, create=True)
    with empty, mock.patch.object(torch.nn.Module, "load_state_dict", lambda *a, **k: None):
        network = cls("inception-v3-compat", ["2048"], **EXTRA).eval()
    return lambda: network(images)

def pytorch_fid():
    import pytorch_fid.inception as module
    from unittest import mock
    with mock.patch.object(module, "load_state_dict_from_url", lambda *a, **k: {{}}), \\
         mock.patch.object(torch.nn.Module, "load_state_dict", lambda *a, **k: None):
        network = module.InceptionV3([3]).eval()
    floats = images.float() / 255
    return lambda: network(floats)

EXTRA = {{}}
for make in (torch_fidelity, pytorch_fid):
    try:
        print(f"{{make.__name__}}: {{rate(make()):.1f}} images a second")
    except Exception as error:
        print(f"{{make.__name__}}: not measured, {{type(error).__name__}}: {{error}}")
"""


def best_of(repeats: int, function: Callable[[], object]) -> float:
    """Shortest seconds of some calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def random_weights() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Folded weights of the right shapes whose activations neither grow nor die out."""
    from tf_biggan.evaluation.inception_architecture import CLASSIFIER, convolutions

    random = np.random.RandomState(0)
    shapes = {
        conv.name: (*conv.kernel, channels, conv.filters) for conv, channels in convolutions()
    }
    return {
        name: (
            (random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype("float32"),
            np.zeros(shape[-1], "float32"),
        )
        for name, shape in {**shapes, CLASSIFIER: (2048, 1008)}.items()
    }


def measure_ours(repeats: int) -> None:
    """Prints images a second of the 2048 tap."""
    from tf_biggan.evaluation.inception import Inception

    network = Inception(random_weights(), ["2048"])
    images = np.random.RandomState(0).randint(0, 256, (BATCH, SIZE, SIZE, 3)).astype(np.uint8)
    network.features(images)
    seconds = best_of(repeats, lambda: network.features(images))
    print(f"tf_biggan: {BATCH / seconds:.1f} images a second")


def measure_fid() -> None:
    """Prints seconds of FID from statistics and of statistics, and the largest memory of both."""
    from tf_biggan.evaluation.frechet import feature_statistics, frechet_distance

    random = np.random.default_rng(0)
    features = np.empty((NUM_IMAGES, NUM_FEATURES), np.float32)
    for start in range(0, NUM_IMAGES, 1000):
        features[start : start + 1000] = random.standard_normal((1000, NUM_FEATURES))
    start = time.perf_counter()
    statistics = feature_statistics(features)
    print(f"statistics of {NUM_IMAGES:,} x {NUM_FEATURES}: {time.perf_counter() - start:.1f} s")
    other = feature_statistics(features[: NUM_IMAGES // 2] * 1.1)
    start = time.perf_counter()
    frechet_distance(statistics, other)
    print(f"FID of {NUM_FEATURES} features: {time.perf_counter() - start:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"largest memory, the features among it: {peak:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter with torch and the peers")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["features", "fid"])
    flags = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if flags.only != "features":
        # First, so that TensorFlow's memory is not counted.
        measure_fid()
    if flags.only != "fid":
        measure_ours(flags.repeats)
        if flags.peers:
            code = PEERS.format(batch=BATCH, size=SIZE, repeats=flags.repeats)
            subprocess.run([flags.peers, "-c", code], check=False)


if __name__ == "__main__":
    sys.exit(main())
