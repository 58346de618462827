"""Compares an iteration with plain PyTorch networks on a GPU, on a machine without TensorFlow.

    python benchmarks/write_xla_program.py programs/cifar10/float32 --setting=cifar10
    python benchmarks/gpu_iteration.py programs

The first command runs on a machine with TensorFlow, once for each program. The second command runs
on the machine with the GPU, JAX and PyTorch. Every program in programs/SETTING/, and every way of
`torch_iteration` to run the networks of this setting, has a process of its own. The processes
compile at the same time and then run one after another. "start" is the time to compile.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from iteration_settings import train_config

RUN_PROGRAM = pathlib.Path(__file__).parent / "run_xla_program.py"
WAYS = (
    "eager",
    "channels_last_autocast",
    "compiled_channels_last",
    "compiled_channels_last_autocast",
)
# Iterations between two readings of the clock, as in run_xla_program.py.
GROUP = 10


def serve(way: str, setting: str, seconds: float) -> None:
    """Compiles PyTorch's networks, waits for a line, and prints the speed of an iteration."""
    import torch
    import torch_iteration

    torch.set_float32_matmul_precision("high")  # TensorFloat-32, as in XLA
    device = "cuda" if torch.cuda.is_available() else "cpu"
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    begun = time.perf_counter()
    config = train_config(setting)
    one = torch_iteration.iteration(config, **torch_iteration.WAYS[way], device=device)
    one(), one()
    synchronize()
    torch.cuda.empty_cache()
    start = round(time.perf_counter() - begun, 1)
    print(json.dumps({"start_seconds": start}), flush=True)
    sys.stdin.readline()
    # Algorithms are chosen while no other process uses the device.
    torch.backends.cudnn.benchmark = True
    one(), one()
    synchronize()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begun = time.perf_counter()
        for _ in range(GROUP):
            one()
        synchronize()
        times.append((time.perf_counter() - begun) / GROUP)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0
    images = config.step.global_batch_size * config.step.num_d_steps
    result = {
        "start_seconds": start,
        "iteration_seconds": statistics.median(times),
        "real_images_per_second": images / statistics.median(times),
        "peak_GiB": peak,
    }
    print(json.dumps(result))


class Worker:
    """A process that compiles an iteration, waits, and measures it."""

    def __init__(self, setting: str, name: str, command: list):
        self.setting, self.name = setting, name
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            text=True,
            env={**os.environ, "JAX_ENABLE_X64": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )

    def ready(self) -> bool:
        """Waits until the process has compiled its iteration; returns False if it failed."""
        return bool(self.process.stdout.readline())

    def measure(self) -> dict | None:
        """Lets the process run, and returns what it measured; None if it failed."""
        printed, _ = self.process.communicate("go\n")
        return json.loads(printed.splitlines()[-1]) if printed else None

    def error(self) -> str:
        self.errors.seek(0)
        return (self.errors.read().strip().splitlines() or ["no message"])[-1]


def workers(flags) -> list[Worker]:
    """Starts a process for every program and for every way of PyTorch."""
    found = []
    for folder in sorted(path for path in flags.programs.iterdir() if path.is_dir()):
        for program in sorted(folder.glob("*/program.hlo")):
            name, limit = program.parent.name, f"--seconds={flags.seconds}"
            command = [RUN_PROGRAM, program.parent, "--wait", "--iterations=100000", limit]
            found.append(Worker(folder.name, name, command))
        for way in flags.way if flags.way is not None else WAYS:
            command = [__file__, flags.programs, f"--serve={way}", f"--setting={folder.name}"]
            found.append(Worker(folder.name, way, [*command, f"--seconds={flags.seconds}"]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--way", nargs="*", choices=WAYS, help="ways of PyTorch; default: all")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--compile_seconds", type=float, default=300, help="limit of compiling")
    parser.add_argument("--serve", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--setting", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve:
        serve(flags.serve, flags.setting, flags.seconds)
        return
    started = workers(flags)
    pool = concurrent.futures.ThreadPoolExecutor(len(started))
    waiting = {pool.submit(worker.ready): worker for worker in started}
    done, late = concurrent.futures.wait(waiting, flags.compile_seconds)
    for future in late:
        waiting[future].process.kill()
    ready = {waiting[future] for future in done if future.result()}
    print(f"{'':12} {'':34} {'start s':>8} {'s':>9} {'images/s':>9} {'peak GiB':>9}")
    for worker in started:
        show(worker, worker.measure() if worker in ready else None)


def show(worker: Worker, result: dict | None) -> None:
    """Prints a line of the table."""
    line = f"{worker.setting:12} {worker.name:34}"
    if result is None:
        print(f"{line} could not be measured: {worker.error()}", flush=True)
        return
    print(
        f"{line} {result['start_seconds']:8.1f} {result['iteration_seconds']:9.5f}"
        f" {result['real_images_per_second']:9.0f} {result['peak_GiB']:9.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
