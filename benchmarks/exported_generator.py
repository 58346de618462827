"""Measures an exported generator beside the training-time generator and PyTorch in eager mode.

    python benchmarks/exported_generator.py                       both of ours, and PyTorch's
    python benchmarks/exported_generator.py --only=exported_bfloat16

BigGAN 128, ch 96, 1,000 classes, random weights: the work is the same. Every kind runs in a process
of its own, which reports images a second by batch size (median of several calls), the latency of
one image, the start (importing, loading and the first image) and its largest memory. "torch" does
what BigGAN-PyTorch does when it samples: NCHW, batch norms in eval mode, sigma computed in every
call. Run on an idle machine.
"""

from __future__ import annotations

import argparse
import itertools
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
WIDTHS = (1536, 1536, 768, 384, 192, 96)
EMBEDDING_DIM, ATTENTION_WIDTH = 128, 192
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
    """Exports the model. A table of statistics would not change the speed, so there is none."""
    from tf_biggan.cli.export_settings import ExportConfig
    from tf_biggan.exporting.exporter import export

    output = os.path.join(folder, kind, "1")
    export(ExportConfig(model=model, output=output, truncation_grid="none", **EXPORTS[kind]))
    return output


def exported(path: str) -> Callable[[np.ndarray, np.ndarray], object]:
    """Loads the SavedModel with TensorFlow alone."""
    import tensorflow as tf

    function = tf.saved_model.load(path).signatures["default"]

    def call(z, labels):
        y = tf.one_hot(labels, CLASSES)
        return function(z=tf.constant(z), y=y, truncation=tf.constant(0.5))["default"].numpy()

    return call


def training(path: str) -> Callable[[np.ndarray, np.ndarray], object]:
    """Returns the generator as it is trained and sampled, in one graph."""
    import tensorflow as tf

    from tf_biggan.store.opened_model import open_model

    generator = open_model(path).generator
    function = tf.function(lambda z, labels: generator(z, labels), reduce_retracing=True)
    return lambda z, labels: function(tf.constant(z), tf.constant(labels)).numpy()


def torch_eager(_: str) -> Callable[[np.ndarray, np.ndarray], object]:
    """Returns the same generator in plain PyTorch, which is written here for its speed only."""
    import torch
    from torch import nn
    from torch.nn import functional as F  # noqa: N812

    class Normalized(nn.Module):
        """A kernel whose sigma takes one power iteration in every call."""

        def __init__(self, *shape, bias=True):
            super().__init__()
            self.weight = nn.Parameter(0.02 * torch.randn(*shape))
            self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
            self.register_buffer("u", torch.randn(1, shape[0]))

        def forward(self, x):
            matrix = self.weight.view(self.weight.shape[0], -1)
            v = F.normalize(self.u @ matrix)
            u = F.normalize(v @ matrix.t())
            weight = self.weight / (v @ matrix.t() @ u.t()).squeeze()
            if weight.dim() == 2:
                return F.linear(x, weight, self.bias)
            return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)

    class Norm(nn.Module):
        """A batch norm in eval mode with the gain and offset of a condition."""

        def __init__(self, channels, condition):
            super().__init__()
            self.gain = Normalized(channels, condition, bias=False)
            self.offset = Normalized(channels, condition, bias=False)
            self.register_buffer("mean", torch.zeros(channels))
            self.register_buffer("variance", torch.ones(channels))

        def forward(self, x, condition):
            x = F.batch_norm(x, self.mean, self.variance, eps=1e-5)
            gain, offset = 1 + self.gain(condition), self.offset(condition)
            return x * gain[:, :, None, None] + offset[:, :, None, None]

    class Block(nn.Module):
        def __init__(self, entering, leaving, condition):
            super().__init__()
            self.norms = nn.ModuleList([Norm(entering, condition), Norm(leaving, condition)])
            self.first = Normalized(leaving, entering, 3, 3)
            self.second = Normalized(leaving, leaving, 3, 3)
            self.shortcut = Normalized(leaving, entering, 1, 1)

        def forward(self, x, condition):
            h = F.interpolate(F.relu(self.norms[0](x, condition)), scale_factor=2)
            h = self.second(F.relu(self.norms[1](self.first(h), condition)))
            return h + self.shortcut(F.interpolate(x, scale_factor=2))

    class Attention(nn.Module):
        def __init__(self, channels):
            super().__init__()
            widths = {"theta": channels // 8, "phi": channels // 8, "g": channels // 2}
            for name, width in widths.items():
                setattr(self, name, Normalized(width, channels, 1, 1, bias=False))
            self.o = Normalized(channels, channels // 2, 1, 1, bias=False)
            self.gamma = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            queries = self.theta(x).flatten(2)
            keys, values = (F.max_pool2d(f(x), 2).flatten(2) for f in (self.phi, self.g))
            weights = torch.softmax(queries.transpose(1, 2) @ keys, -1)
            mixed = (values @ weights.transpose(1, 2)).view(len(x), -1, *x.shape[2:])
            return x + self.gamma * self.o(mixed)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            chunk = LATENT_DIM // 6
            self.embedding = nn.Embedding(CLASSES, EMBEDDING_DIM)
            self.first = Normalized(16 * WIDTHS[0], chunk)
            condition = chunk + EMBEDDING_DIM
            pairs = itertools.pairwise(WIDTHS)
            self.blocks = nn.ModuleList(Block(a, b, condition) for a, b in pairs)
            self.attention = Attention(ATTENTION_WIDTH)
            self.norm = nn.BatchNorm2d(WIDTHS[-1])
            self.to_image = Normalized(3, WIDTHS[-1], 3, 3)

        def forward(self, z, labels):
            first, *chunks = z.chunk(6, dim=1)
            embeddings = self.embedding(labels)
            x = self.first(first).view(len(z), WIDTHS[0], 4, 4)
            for block, chunk in zip(self.blocks, chunks, strict=True):
                x = block(x, torch.cat([chunk, embeddings], 1))
                if x.shape[1] == ATTENTION_WIDTH:
                    x = self.attention(x)
            return torch.tanh(self.to_image(F.relu(self.norm(x))))

    network = Network().eval()

    def call(z, labels):
        with torch.no_grad():
            return network(torch.from_numpy(z), torch.from_numpy(labels).long()).numpy()

    return call


def measure(kind: str, path: str, repeats: int) -> None:
    """Prints the measurements of one kind, in this process."""
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
