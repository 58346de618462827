"""Runs a program of `write_xla_program.py` with JAX on the first device, and prints its speed.

    JAX_ENABLE_X64=1 python benchmarks/run_xla_program.py program32 --iterations=200

The script needs only JAX and NumPy. The images are random, unless --data names an .npz file with
uint8 `images` [N, H, W, C] and integer `labels` [N]. With --save_every, it writes all variables, in
the order of the program, to FOLDER/values_ITERATION.npz after every so many iterations and at the
end, and the metrics of all iterations to FOLDER/metrics.npz. --stored keeps the compiled program in
FOLDER and takes it from there in the next run. With --wait, the script prints a line when the
program is compiled, and runs it when it has read a line. The last line that it prints is JSON. On a
GPU, its "peak_GiB" includes the memory of compiling, unless the program is stored already.
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

# Iterations between two readings of the clock. Within a group, the device does not wait for Python.
GROUP = 10


def compiled(folder: pathlib.Path, device, stored: bool):
    """Returns the executable of a program, which may be `stored` in its folder."""
    path, devices = folder / f"program.{device.platform}", xla_client.DeviceList((device,))
    options = xla_client.CompileOptions()
    if stored and path.exists():
        return device.client.deserialize_executable(path.read_bytes(), devices, options)
    computation = xla_client.XlaComputation((folder / "program.hlo").read_bytes())
    module = xla_client._xla.mlir.xla_computation_to_mlir_module(computation)
    executable = device.client.compile_and_load(module, devices, options)
    if stored:
        path.write_bytes(executable.serialize())
    return executable


def initial_values(folder: pathlib.Path, variables: list[dict], random) -> list[np.ndarray]:
    """Returns the stored values of the variables or, if there are none, random values.

    A random value has the mean and the standard deviation that program.json gives for its variable.
    """
    if (folder / "values.npz").exists():
        stored = np.load(folder / "values.npz")
        return [stored[f"arr_{i}"] for i in range(len(variables))]
    return [
        np.full(v["shape"], v["mean"], v["dtype"])
        if v["deviation"] == 0
        else (v["mean"] + v["deviation"] * random.standard_normal(v["shape"], np.float32)).astype(
            v["dtype"]
        )
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


class Run:
    """An executable, its variables on the device, and the metrics of the iterations so far."""

    def __init__(self, executable, about: dict, values: list[np.ndarray], source, device):
        self.executable, self.about, self.source, self.device = executable, about, source, device
        self.values = [jax.device_put(value, device) for value in values]
        self.metrics, self.pending = [], []

    def iterate(self) -> None:
        """Starts one iteration, and waits for the one before it."""
        batch = [jax.device_put(array, self.device) for array in next(self.source)]
        outputs = self.executable.execute([*batch, *self.values])
        metrics, moved = outputs[: self.about["metrics"]], iter(outputs[self.about["metrics"] :])
        written = [variable["written"] for variable in self.about["variables"]]
        self.values = [
            next(moved) if changes else value
            for value, changes in zip(self.values, written, strict=True)
        ]
        self.wait()
        self.pending = metrics

    def wait(self) -> None:
        """Reads the metrics of the last iteration."""
        if self.pending:
            self.metrics.append([np.asarray(metric) for metric in self.pending])
            self.pending = []
            if not all(np.isfinite(metric).all() for metric in self.metrics[-1]):
                raise SystemExit(f"A metric is not finite after {len(self.metrics)} iterations.")

    def save(self, folder: pathlib.Path) -> None:
        self.wait()
        values = [np.asarray(value) for value in self.values]
        np.savez(folder / f"values_{len(self.metrics)}.npz", *values)
        np.savez(folder / "metrics.npz", *map(np.stack, zip(*self.metrics, strict=True)))


def run_in_groups(run: Run, folder: pathlib.Path, flags) -> list[float]:
    """Runs iterations, and returns the seconds that an iteration took in each group."""
    seconds, done, end = [], 0, time.perf_counter() + flags.seconds
    while done < flags.iterations and (len(seconds) < 2 or time.perf_counter() < end):
        count, begun = min(GROUP, flags.iterations - done), time.perf_counter()
        for _ in range(count):
            run.iterate()
        run.wait()
        seconds.append((time.perf_counter() - begun) / count)
        done += count
        if flags.save_every and done % flags.save_every == 0:
            run.save(folder)
    if flags.save_every and done % flags.save_every:
        run.save(folder)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=np.inf, help="ends the run earlier")
    parser.add_argument("--data")
    parser.add_argument("--save_every", type=int, help=f"a multiple of {GROUP}")
    parser.add_argument("--stored", action="store_true")
    parser.add_argument("--wait", action="store_true")
    flags = parser.parse_args()
    about = json.loads((flags.folder / "program.json").read_text())
    device, begun = jax.devices()[0], time.perf_counter()
    executable = compiled(flags.folder, device, flags.stored)
    start = round(time.perf_counter() - begun, 1)
    random = np.random.default_rng(0)
    values = initial_values(flags.folder, about["variables"], random)
    source = batches(about, flags.data, random)
    if flags.wait:
        print(json.dumps({"start_seconds": start}), flush=True)
        sys.stdin.readline()
    run = Run(executable, about, values, source, device)
    seconds = run_in_groups(run, flags.folder, flags)
    # The first group includes the start of the device.
    median = statistics.median(seconds[1:] or seconds)
    memory = getattr(device, "memory_stats", lambda: None)() or {}
    result = {
        "device": str(device.device_kind),
        "start_seconds": start,
        "iterations": len(run.metrics),
        "iteration_seconds": round(median, 5),
        "real_images_per_second": round(np.prod(about["images"][:3]) / median, 1),
        "peak_GiB": round(memory.get("peak_bytes_in_use", 0) / 2**30, 2),
        "metrics": [round(float(metric.mean()), 4) for metric in run.metrics[-1]],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
