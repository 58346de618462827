"""Compares the formats of `export`: image difference, size on disk, speed and memory.

    python benchmarks/export_formats.py --folder=/tmp/formats                 exports and measures
    python benchmarks/export_formats.py --folder=/tmp/formats --measure_only  measures again

The model is BigGAN at 128 px with 1,000 classes and random weights, which take the same time as
trained weights. The formats run one after another, each in a process of its own. A process reports
the images per second (median of several calls), the time of the start (importing, loading and the
first image) and the peak memory. The difference is the largest difference of a pixel value, in
[-1, 1], from the images of the generator before its export. Run the script on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
from process_memory import largest_memory

ARCHITECTURE, CLASSES, LATENT_DIM = "biggan128", 1000, 120
EXPORTS = {
    "saved_model": dict(format="saved_model", truncation_grid="none"),
    "onnx": dict(format="onnx", truncation_grid="none"),
    "tflite": dict(format="tflite", truncation_grid="none"),
    "tflite_float16": dict(format="tflite", truncation_grid="none", tflite_type="float16"),
    "keras": dict(format="keras"),
    "safetensors": dict(format="safetensors"),
}
# Other backends of Keras, on which the format "safetensors" can be measured too.
BACKENDS = ("torch", "jax")
REFERENCE, BATCH = "reference.npy", 8

Call = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def inputs(batch: int) -> dict[str, np.ndarray]:
    """Returns latents, class weights, labels and truncations of a batch."""
    random = np.random.RandomState(batch)
    labels = random.randint(0, CLASSES, batch).astype("int32")
    return {
        "z": random.uniform(-1, 1, (batch, LATENT_DIM)).astype("float32"),
        "y": np.eye(CLASSES, dtype="float32")[labels],
        "labels": labels,
        "truncation": np.full(batch, 0.5, "float32"),
    }


def saved_model(folder: pathlib.Path) -> Call:
    import tensorflow as tf

    function = tf.saved_model.load(str(folder)).signatures["default"]

    def call(given):
        tensors = {name: tf.constant(given[name]) for name in ("z", "y", "truncation")}
        return function(**tensors)["default"].numpy()

    return call


def onnx(folder: pathlib.Path) -> Call:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "generator.onnx")
    names = ("z", "y", "truncation")
    return lambda given: session.run(["default"], {name: given[name] for name in names})[0]


def tflite(folder: pathlib.Path) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "generator.tflite"), num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner("default")
    names = ("z", "y", "truncation")
    return lambda given: runner(**{name: given[name] for name in names})["default"]


def keras_file(folder: pathlib.Path) -> Call:
    import keras

    from tf_biggan import Generator

    generator = keras.saving.load_model(folder / "generator.keras")
    assert isinstance(generator, Generator)
    return _predicted(generator)


def safetensors(folder: pathlib.Path) -> Call:
    from tf_biggan import open_model

    return _predicted(open_model(str(folder)).generator)


def _predicted(generator) -> Call:
    """Returns a call of a generator as each backend runs it: in a graph, jitted, or eagerly."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        function = tf.function(lambda z, labels: generator(z, labels), reduce_retracing=True)
    elif backend == "jax":
        import jax

        function = jax.jit(lambda z, labels: generator(z, labels))
    else:
        import torch

        function = torch.inference_mode()(generator)
    convert = keras.ops.convert_to_numpy
    return lambda given: convert(
        function(*map(keras.ops.convert_to_tensor, (given["z"], given["labels"])))
    )


OPENERS = {
    "saved_model": saved_model,
    "onnx": onnx,
    "tflite": tflite,
    "tflite_float16": tflite,
    "keras": keras_file,
    "safetensors": safetensors,
}


def write_exports(folder: pathlib.Path, base_channels: int, kinds) -> None:
    """Writes a model, its images, and its exports in all formats."""
    from tf_biggan import ExportConfig, Generator, export
    from tf_biggan.store.model_directory import write_directory

    settings = dict(initializer="n02", base_channels=base_channels, seed=0)
    generator = Generator(ARCHITECTURE, CLASSES, **settings)
    # The images of initial weights are almost constant. A large gain spreads them over [-1, 1].
    generator.output_norm.gain.assign(30.0 * np.asarray(generator.output_norm.gain))
    write_directory(str(folder / "model"), {"generator": generator})
    given = inputs(BATCH)
    np.save(folder / REFERENCE, np.asarray(generator(given["z"], given["labels"])))
    for kind in kinds:
        path = str(folder / kind)
        export(ExportConfig(model=str(folder / "model"), output=path, **EXPORTS[kind]))
        print(f"written: {path}", flush=True)


def measure(kind: str, folder: pathlib.Path, repeats: int) -> dict[str, float]:
    """Returns the measurements of one format, in this process."""
    begun = time.perf_counter()
    call = OPENERS[kind](folder / kind)
    call(inputs(1))
    start = time.perf_counter() - begun
    reference, given = np.load(folder / REFERENCE), inputs(BATCH)
    difference = float(np.abs(call(given) - reference).max())
    return {
        "difference": difference,
        "batch": BATCH / _median(call, given, repeats),
        "one": 1000 * _median(call, inputs(1), repeats),
        "start": start,
        "memory": largest_memory(),
    }


def _median(call, given, repeats):
    call(given)
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call(given)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def size(folder: pathlib.Path) -> float:
    """Returns the megabytes of the files that hold the weights and the graph."""
    names = ("saved_model.pb", "variables", "generator.", "config.json")
    files = [one for one in folder.rglob("*") if one.is_file()]
    kept = [f for f in files if str(f.relative_to(folder)).startswith(names)]
    return sum(one.stat().st_size for one in kept) / 1e6


def show(kind: str, backend: str, folder: pathlib.Path, repeats: int) -> None:
    """Measures one format in a process of its own and prints a row of a table."""
    command = [sys.executable, __file__, f"--folder={folder}", f"--only={kind}"]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [*command, f"--repeats={repeats}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    title = kind if backend == "tensorflow" else f"{kind}, {backend}"
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:]
        print(f"| {title} | could not be measured: {' '.join(reason)} |", flush=True)
        return
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"| {title} | {found['difference']:.1e} | {size(folder / kind):.0f} MB"
        f" | {found['batch']:.2f} | {found['one']:.0f} ms | {found['start']:.1f} s"
        f" | {found['memory']:.2f} GiB |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--base_channels", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure_only", action="store_true")
    parser.add_argument("--backends", nargs="*", choices=BACKENDS, default=["torch"])
    parser.add_argument("--only", choices=EXPORTS, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if flags.only:
        print(json.dumps(measure(flags.only, flags.folder, flags.repeats)))
        return
    if not flags.measure_only:
        write_exports(flags.folder, flags.base_channels, EXPORTS)
    print(f"| format | difference | size | images/s, batch {BATCH} | one image | start | memory |")
    print("|---|---|---|---|---|---|---|")
    for kind in EXPORTS:
        show(kind, "tensorflow", flags.folder, flags.repeats)
    for backend in flags.backends:
        show("safetensors", backend, flags.folder, flags.repeats)


if __name__ == "__main__":
    sys.exit(main())
