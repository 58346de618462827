"""Compares the speed of an exported generator, the generator before its export, and PyTorch.

    python benchmarks/exported_generator.py                            all kinds of generators
    python benchmarks/exported_generator.py --only=exported_bfloat16   one kind

The model is BigGAN at 128 px with ch = 96, 1,000 classes and random weights, which take the same
time as trained weights. Every kind of generator runs in a process of its own. A process reports the
images per second for several batch sizes (median of several calls), the latency of one image, the
time of the start (importing, loading and the first image) and the peak memory. "torch" runs PyTorch
in eager mode and computes what BigGAN-PyTorch computes when it samples: NCHW, batch norms in eval
mode, and sigma in every call. Run the script on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from process_memory import largest_memory

ARCHITECTURE, CLASSES, LATENT_DIM = "biggan128", 1000, 120
BATCHES = (1, 2, 4, 8, 16)
EXPORTS = {
    "exported": {},
    "exported_bfloat16": {"dtype": "bfloat16", "compute_dtype": "bfloat16"},
}
KINDS = (*EXPORTS, "training", "torch")


def write_model(folder: str) -> str:
    """Writes a model folder with random weights."""
    from tf_biggan.networks.generator import Generator
    from tf_biggan.store.model_directory import write_directory

    path = os.path.join(folder, "model")
    generator = Generator(ARCHITECTURE, CLASSES, initializer="n02", seed=0)
    write_directory(path, {"generator": generator})
    return path


def write_export(model: str, folder: str, kind: str) -> str:
    """Exports the model without a table of statistics, which would not change the speed.

    Returns:
      Path of the export.
    """
    from tf_biggan.cli.export_settings import ExportConfig
    from tf_biggan.exporting.exporter import export

    output = os.path.join(folder, kind, "1")
    export(ExportConfig(model=model, output=output, truncation_grid="none", **EXPORTS[kind]))
    return output


def exported(path: str) -> Callable[[np.ndarray, np.ndarray], object]:
    """Returns a function that makes images with the SavedModel, loaded by TensorFlow alone."""
    import tensorflow as tf

    function = tf.saved_model.load(path).signatures["default"]

    def call(z, labels):
        y = tf.one_hot(labels, CLASSES)
        return function(z=tf.constant(z), y=y, truncation=tf.constant(0.5))["default"].numpy()

    return call


def training(path: str) -> Callable[[np.ndarray, np.ndarray], object]:
    """Returns a function that makes images with the generator that was not exported, in a graph."""
    import tensorflow as tf

    from tf_biggan.store.opened_model import open_model

    generator = open_model(path).generator
    function = tf.function(lambda z, labels: generator(z, labels), reduce_retracing=True)
    return lambda z, labels: function(tf.constant(z), tf.constant(labels)).numpy()


def torch_eager(_: str) -> Callable[[np.ndarray, np.ndarray], object]:
    """Returns a function that makes images with a PyTorch generator of the same shapes."""
    import torch
    from torch_iteration import Generator

    from tf_biggan.cli.network_settings import ModelConfig

    network = Generator(ModelConfig(resolution=128, num_classes=CLASSES)).eval()

    def call(z, labels):
        with torch.no_grad():
            return network(torch.from_numpy(z), torch.from_numpy(labels).long()).numpy()

    return call


def measure(kind: str, path: str, repeats: int) -> None:
    """Measures one kind of generator in this process, and prints the results."""
    start = time.perf_counter()
    makers = {"training": training, "torch": torch_eager}
    call = makers.get(kind, exported)(path)
    random = np.random.RandomState(0)

    def seconds(batch):
        z = random.standard_normal((batch, LATENT_DIM)).astype(np.float32)
        labels = random.randint(0, CLASSES, batch)
        begun = time.perf_counter()
        call(z, labels)
        return time.perf_counter() - begun

    seconds(1)
    print(f"{kind}: first image after {time.perf_counter() - start:.1f} s")
    for batch in BATCHES:
        seconds(batch)
        median = statistics.median(seconds(batch) for _ in range(repeats))
        latency = f" ({1000 * median:.0f} ms an image)" if batch == 1 else ""
        print(f"  batch {batch:2}: {batch / median:6.2f} images a second{latency}", flush=True)
    print(f"  largest memory: {largest_memory():.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if flags.path is not None:
        measure(flags.only, flags.path, flags.repeats)
        return
    kinds = [flags.only] if flags.only else KINDS
    folder = tempfile.mkdtemp()
    try:
        model = write_model(folder)
        for kind in kinds:
            path = write_export(model, folder, kind) if kind in EXPORTS else model
            command = [sys.executable, __file__, f"--only={kind}", f"--path={path}"]
            result = subprocess.run([*command, f"--repeats={flags.repeats}"], check=False)
            if result.returncode:
                print(f"{kind}: could not be measured")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
