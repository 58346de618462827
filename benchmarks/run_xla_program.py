"""Runs a program of `write_xla_program.py` with JAX on the first device, and prints its speed.

    JAX_ENABLE_X64=1 python benchmarks/run_xla_program.py program32 --iterations=200

The script needs only JAX and NumPy. The images are random, unless --data names an .npz file with
uint8 `images` [N, H, W, C] and integer `labels` [N]. --save writes all variables after the last
iteration to FOLDER/trained.npz, in the order of the program. The script prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
import time

import jax
import numpy as np
from jax._src.lib import xla_client


def compiled(path: pathlib.Path, device):
    """Compiles a serialised program for a device and returns the executable."""
    computation = xla_client.XlaComputation(path.read_bytes())
    module = xla_client._xla.mlir.xla_computation_to_mlir_module(computation)
    devices = xla_client.DeviceList((device,))
    return device.client.compile_and_load(module, devices, xla_client.CompileOptions())


def initial_values(folder: pathlib.Path, variables: list[dict], random) -> list[np.ndarray]:
    """Returns the stored values of the variables or, if there are none, random values.

    A random value has the mean and the standard deviation that program.json gives for its variable.
    """
    if (folder / "values.npz").exists():
        stored = np.load(folder / "values.npz")
        return [stored[f"arr_{i}"] for i in range(len(variables))]
    return [
        (v["mean"] + v["deviation"] * random.standard_normal(v["shape"])).astype(v["dtype"])
        for v in variables
    ]


def batches(about: dict, data: str | None, random):
    """Yields the images and labels of one iteration after another, without end."""
    shape = tuple(about["images"])
    count = int(np.prod(shape[:3]))
    if data:
        stored = np.load(data)
        images, labels = stored["images"], stored["labels"].astype(np.int32)
    else:
        images = random.integers(0, 256, (max(2 * count, 256), *shape[3:]), np.uint8)
        labels = random.integers(0, about["classes"], len(images)).astype(np.int32)
    while True:
        rows = random.permutation(len(images))
        for start in range(0, len(rows) - count + 1, count):
            chosen = rows[start : start + count]
            yield images[chosen].reshape(shape), labels[chosen].reshape(shape[:3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--data")
    parser.add_argument("--save", action="store_true")
    flags = parser.parse_args()
    about = json.loads((flags.folder / "program.json").read_text())
    device, random = jax.devices()[0], np.random.default_rng(0)
    begun = time.perf_counter()
    executable = compiled(flags.folder / "program.hlo", device)
    compile_seconds = time.perf_counter() - begun
    values = initial_values(flags.folder, about["variables"], random)
    values = [jax.device_put(value, device) for value in values]
    written = [i for i, variable in enumerate(about["variables"]) if variable["written"]]
    seconds, source = [], batches(about, flags.data, random)
    for _ in range(flags.iterations):
        batch = [jax.device_put(array, device) for array in next(source)]
        begun = time.perf_counter()
        outputs = executable.execute([*batch, *values])
        metrics = [np.asarray(output) for output in outputs[: about["metrics"]]]
        seconds.append(time.perf_counter() - begun)
        for index, value in zip(written, outputs[about["metrics"] :], strict=True):
            values[index] = value
        if not all(np.isfinite(metric).all() for metric in metrics):
            raise SystemExit(f"The losses are not finite after {len(seconds)} iterations.")
    if flags.save:
        np.savez(flags.folder / "trained.npz", *(np.asarray(value) for value in values))
    median = statistics.median(seconds[len(seconds) // 5 :])
    memory = getattr(device, "memory_stats", lambda: None)() or {}
    result = {
        "device": str(device.device_kind),
        "compile_seconds": round(compile_seconds, 1),
        "iteration_seconds": round(median, 5),
        "real_images_per_second": round(np.prod(about["images"][:3]) / median, 1),
        "peak_GiB": round(memory.get("peak_bytes_in_use", 0) / 2**30, 2),
        "metrics": [round(float(metric.mean()), 4) for metric in metrics],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
