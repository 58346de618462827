"""Measures the speed of Inception's feature extraction, and the time and memory of FID.

    python benchmarks/inception_features.py                   this package, and FID of 2048 features
    python benchmarks/inception_features.py --peers=PYTHON    also torch-fidelity and pytorch-fid

PYTHON is an interpreter that has torch, torch-fidelity and pytorch-fid. Each measurement resizes a
batch of 32 images of 32x32 pixels and computes their features. The weights are random, which take
the same time as real weights. Every result is the best of several repetitions. Run the script on an
idle machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from process_memory import largest_memory

BATCH, SIZE = 32, 32
NUM_IMAGES, NUM_FEATURES = 50_000, 2048

# Both peers import torchvision, but use none of its compiled operations. Their registration is left
# out, because it fails if torchvision does not fit the installed torch. No weights are downloaded.
PEERS = """
import time
from unittest import mock
import numpy as np, torch

with mock.patch.object(torch.library, "register_fake", lambda *a, **k: lambda function: function):
    import torchvision

images = np.random.RandomState(0).randint(0, 256, ({batch}, 3, {size}, {size})).astype(np.uint8)
images = torch.from_numpy(images)

def torch_fidelity():
    import torch_fidelity.feature_extractor_inceptionv3 as module
    with mock.patch.object(module, "load_state_dict_from_url", lambda *a, **k: {{}}):
        network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    return lambda: network(images)

def pytorch_fid():
    import pytorch_fid.inception as module
    with mock.patch.object(module, "load_state_dict_from_url", lambda *a, **k: {{}}):
        network = module.InceptionV3([3]).eval()
    floats = images.float() / 255
    return lambda: network(floats)

def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start

for make in (torch_fidelity, pytorch_fid):
    with mock.patch.object(torch.nn.Module, "load_state_dict", lambda *a, **k: None):
        function = make()
    with torch.no_grad():
        function()
        best = min(seconds(function) for _ in range({repeats}))
    print(f"{{make.__name__}}: {{{batch} / best:.1f}} images a second")
"""


def best_of(repeats: int, function: Callable[[], object]) -> float:
    """Returns the shortest time of several calls in seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def random_weights() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns random kernels and biases by layer; activations neither explode nor vanish."""
    from tf_biggan.evaluation.inception.inception_network import CLASSIFIER, convolutions

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
    """Prints the speed of this package's feature extraction in images per second, by dtype."""
    from tf_biggan.evaluation.inception.inception_network import Inception

    weights = random_weights()
    images = np.random.RandomState(0).randint(0, 256, (BATCH, SIZE, SIZE, 3)).astype(np.uint8)
    for dtype in ("float32", "bfloat16"):
        network = Inception(weights, ["2048"], dtype=dtype)
        network.features(images)
        seconds = best_of(repeats, lambda network=network: network.features(images))
        print(f"tf_biggan, {dtype}: {BATCH / seconds:.1f} images a second")


def measure_fid() -> None:
    """Measures the statistics and the FID of random features; prints both times and the memory."""
    from tf_biggan.evaluation.scores.frechet import feature_statistics, frechet_distance

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
    print(f"largest memory, the features among it: {largest_memory():.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter with torch and both peers")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["features", "fid"])
    flags = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if flags.only != "features":
        # This runs first, so that TensorFlow's memory is not counted.
        measure_fid()
    if flags.only != "fid":
        measure_ours(flags.repeats)
        if flags.peers:
            code = PEERS.format(batch=BATCH, size=SIZE, repeats=flags.repeats)
            subprocess.run([flags.peers, "-c", code], check=False)


if __name__ == "__main__":
    sys.exit(main())
