"""Compares speed, start and memory of a training iteration with plain PyTorch networks.

    python benchmarks/training_iteration.py                             the whole table
    python benchmarks/training_iteration.py --setting=32px --rounds=3   the rows of one setting

The kinds of networks are those of this package ("tf_biggan") and those of `torch_iteration`, run in
three ways. Every kind runs in a process of its own. The processes take turns, one iteration each,
so that other programs on the machine slow all kinds equally. The table has the median times.
"start" is the time from the start of the process to the end of its first iteration. The script
checks that all kinds have the same number of parameters. Run the script on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from iteration_settings import SETTINGS, compiled_step, train_config
from process_memory import largest_memory

TORCH = {
    "torch": {},
    "torch_channels_last": dict(channels_last=True),
    "torch_compiled": dict(compiled=True),
}
KINDS = ("tf_biggan", *TORCH)


def serve(kind: str, setting: str) -> None:
    """Runs an iteration for each line of standard input, and prints its time and memory as JSON.

    Before that, it runs a first iteration and prints the numbers of parameters.
    """
    config = train_config(setting)
    if kind == "tf_biggan":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        state, run, arguments = compiled_step(config)
        networks = {"G": state.generator, "D": state.discriminator}
        counts = {
            name: sum(variable.numpy().size for variable in network.trainable_variables)
            for name, network in networks.items()
        }

        def one():
            return {name: value.numpy().mean() for name, value in run(*arguments).items()}
    else:
        import torch_iteration

        counts = torch_iteration.parameters(config)
        one = torch_iteration.iteration(config, **TORCH[kind])
    one()
    print(json.dumps({"parameters": counts}), flush=True)
    for _ in sys.stdin:
        begun, cpu = time.perf_counter(), time.process_time()
        one()
        spent = [time.perf_counter() - begun, time.process_time() - cpu]
        print(json.dumps({"spent": spent, "peak": largest_memory()}), flush=True)


class Worker:
    """A process that runs iterations of one kind of networks."""

    def __init__(self, kind: str, setting: str):
        self.kind, self.seconds, self.cpu_seconds, self.peak = kind, [], [], 0.0
        begun = time.perf_counter()
        command = [sys.executable, __file__, f"--serve={kind}", f"--setting={setting}"]
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process = subprocess.Popen(command, text=True, **pipes)
        self.first = self._answer()
        self.start = time.perf_counter() - begun

    def _answer(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def iterate(self) -> None:
        print("go", file=self.process.stdin, flush=True)
        answer = self._answer()
        self.peak = answer["peak"]
        self.seconds.append(answer["spent"][0])
        self.cpu_seconds.append(answer["spent"][1])

    def end(self) -> str:
        """Ends the process and returns the last line of its error stream."""
        _, errors = self.process.communicate()
        return (errors.strip().splitlines() or [""])[-1]


def measure(setting: str, kinds: list[str], rounds: int) -> None:
    """Measures one setting and prints its rows of the table."""
    print(f"{setting}: {SETTINGS[setting]}", flush=True)
    workers = []
    for kind in kinds:
        worker = Worker(kind, setting)
        if worker.first is None:
            print(f"  {kind}: could not be measured: {worker.end()}")
        else:
            workers.append(worker)
    counts = {worker.kind: worker.first["parameters"] for worker in workers}
    if len({json.dumps(count) for count in counts.values()}) > 1:
        raise SystemExit(f"The networks differ in their number of parameters: {counts}")
    for _ in range(rounds):
        for worker in workers:
            worker.iterate()
    for worker in workers:
        worker.end()
    if workers:
        show(workers)


def show(workers: list[Worker]) -> None:
    """Prints a table. The ratio is a kind's time divided by the time of the first kind."""
    medians = [statistics.median(worker.seconds) for worker in workers]
    print(f"  {'kind':22}{'s':>9}{'CPU s':>9}{'ratio':>8}{'start s':>9}{'peak GiB':>10}")
    for worker, median in zip(workers, medians, strict=True):
        cpu = statistics.median(worker.cpu_seconds)
        print(
            f"  {worker.kind:22}{median:9.3f}{cpu:9.3f}{median / medians[0]:8.2f}"
            f"{worker.start:9.1f}{worker.peak:10.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setting", action="append", choices=SETTINGS)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve:
        serve(flags.serve, flags.setting[0])
        return
    print(f"load before: {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors")
    for setting in flags.setting or SETTINGS:
        measure(setting, flags.kind or list(KINDS), flags.rounds)


if __name__ == "__main__":
    sys.exit(main())
