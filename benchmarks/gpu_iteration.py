"""Compares an iteration with plain PyTorch networks on a GPU, on a machine without TensorFlow.

    python benchmarks/write_xla_program.py programs/cifar10/float32 --setting=cifar10
    python benchmarks/gpu_iteration.py programs

The first command runs on a machine with TensorFlow, once for each program. The second command runs
on the machine with the GPU, JAX and PyTorch. Every program in programs/SETTING/ has a process of
its own, which compiles and then measures, and so has every way in which PyTorch runs the networks
of this setting. --at_once lets several processes compile at the same time. This saves time, but
needs more memory, and disturbs XLA while it measures which algorithms are fastest. "start" is the
time to compile.
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
# Arguments of `torch_iteration.iteration` for each way to run PyTorch's networks.
WAYS = {
    "eager": {},
    "channels_last_autocast": dict(channels_last=True, autocast=True),
    "compiled_channels_last": dict(compiled=True, channels_last=True),
    "compiled_channels_last_autocast": dict(compiled=True, channels_last=True, autocast=True),
}
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
    one = torch_iteration.iteration(config, **WAYS[way], device=device)
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
    """A process that compiles an iteration, waits, and measures it.

    Args:
      name: SETTING/PROGRAM or SETTING/WAY.
      command: Arguments of Python.
    """

    def __init__(self, name: str, command: list):
        self.name = name
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            text=True,
            env={**os.environ, "JAX_ENABLE_X64": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )

    def measure(self) -> dict | None:
        """Lets the process run, and returns what it measured; None if it failed."""
        printed, _ = self.process.communicate("go\n")
        return json.loads(printed.splitlines()[-1]) if printed else None

    def error(self) -> str:
        """Returns the last line that the process wrote to its error stream."""
        self.errors.seek(0)
        return (self.errors.read().strip().splitlines() or ["no message"])[-1]


def commands(programs: pathlib.Path, seconds: float) -> dict[str, list]:
    """Returns the command of every program and of every way of PyTorch, by name."""
    found = {}
    for folder in sorted(path for path in programs.iterdir() if path.is_dir()):
        for program in sorted(path.parent for path in folder.glob("*/program.hlo")):
            command = [RUN_PROGRAM, program, "--wait", "--stored", f"--seconds={seconds}"]
            found[f"{folder.name}/{program.name}"] = [*command, "--iterations=100000"]
        for way in WAYS:
            command = [__file__, programs, f"--serve={way}", f"--setting={folder.name}"]
            found[f"{folder.name}/{way}"] = [*command, f"--seconds={seconds}"]
    return found


def compare(chosen: dict[str, list], limit: float) -> None:
    """Compiles all of the chosen commands at the same time, then measures one after another."""
    workers = [Worker(name, command) for name, command in chosen.items()]
    pool = concurrent.futures.ThreadPoolExecutor(len(workers))
    waiting = [pool.submit(worker.process.stdout.readline) for worker in workers]
    concurrent.futures.wait(waiting, limit)
    for worker, line in zip(workers, waiting, strict=True):
        if not line.done():
            worker.process.kill()
            show(worker.name, f"not compiled within {limit:g} seconds")
        else:
            result = worker.measure() if line.result() else None
            show(worker.name, worker.error() if result is None else result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", help="names as in the table; default: all")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--at_once", type=int, default=1, help="processes that compile together")
    parser.add_argument("--compile_seconds", type=float, default=600, help="limit of compiling")
    parser.add_argument("--serve", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--setting", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve:
        serve(flags.serve, flags.setting, flags.seconds)
        return
    found = commands(flags.programs, flags.seconds)
    names = flags.only or list(found)
    print(f"{'':44} {'start s':>8} {'s':>9} {'images/s':>9} {'peak GiB':>9}", flush=True)
    for first in range(0, len(names), flags.at_once):
        together = names[first : first + flags.at_once]
        compare({name: found[name] for name in together}, flags.compile_seconds)


def show(name: str, result: dict | str) -> None:
    """Prints a line of the table: what was measured, or why nothing was."""
    if isinstance(result, str):
        print(f"{name:44} could not be measured: {result}", flush=True)
        return
    print(
        f"{name:44} {result['start_seconds']:8.1f} {result['iteration_seconds']:9.5f}"
        f" {result['real_images_per_second']:9.0f} {result['peak_GiB']:9.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
