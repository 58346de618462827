"""Measures how fast each convolution of a training iteration is in every form of computing it.

    python benchmarks/convolution_forms.py --setting=32px
    python benchmarks/convolution_forms.py --setting=32px --iterations=5

The script traces an iteration and counts the convolutions that its graph computes. It then measures
each convolution on its own, in every form of `tf_biggan.networks.layers.fused_convolutions`. The
forms take turns, and the shortest time of several runs counts. "*" marks the form that
`fused_convolutions.FORMS` chooses, and "!" marks a form that is faster. The last line is the sum of
the chosen forms' times over the iteration. The rows of `FORMS` were chosen with this table. Run the
script on an idle machine.

The second command also measures five whole iterations, and prints the share that the convolutions
have in the shortest one.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from iteration_settings import SETTINGS, compiled_step, train_config

from tf_biggan.networks.layers import fused_convolutions as fused

TABLES = {
    "convolution": fused.CONVOLUTION,
    "upsampled": fused.UPSAMPLED,
    "pooled": fused.POOLED,
    "kernel": fused.KERNEL_GRADIENT,
    "upsampled_kernel": fused.UPSAMPLED_KERNEL_GRADIENT,
}
WRITING = ("AssignVariableOp", "AssignAddVariableOp", "ResourceApplyAdam", "While")
# The table marks a form as faster if its time is below this share of the chosen form's time.
NOTEWORTHY = 0.95
# `first` is the shape of x, `second` the shape of the kernel or the upstream gradient.
Call = collections.namedtuple("Call", "what purpose form first second kernel")


class Recorder:
    """Records every convolution while a graph is traced."""

    def __init__(self):
        self.calls, self._purpose = [], None

    def __enter__(self):
        self._form, self._tables = fused._form, {what: dict(t) for what, t in TABLES.items()}
        fused._form = self._noting_purpose
        for what, table in TABLES.items():
            for form, function in self._tables[what].items():
                table[form] = self._noted(what, form, function)
        return self

    def __exit__(self, *_):
        fused._form = self._form
        for what, table in TABLES.items():
            table.update(self._tables[what])

    def _noting_purpose(self, what, purpose, small_map):
        self._purpose = purpose
        return self._form(what, purpose, small_map)

    def _noted(self, what, form, function):
        def noting(first, second, *shape_and_dtype):
            result = function(first, second, *shape_and_dtype)
            kernel = shape_and_dtype[0] if shape_and_dtype else second.shape
            shapes = (tuple(first.shape), tuple(second.shape), tuple(kernel))
            self.calls.append((Call(what, self._purpose, form, *shapes), result))
            return result

        return noting


def counted(calls, config) -> collections.Counter:
    """Returns how often one iteration computes each convolution.

    The body of a loop is traced once, but it runs several times. A convolution does not run if its
    result is not used.
    """
    step, counts, alive = config.step, collections.Counter(), {}
    runs = {id(calls[-1][1].graph): step.g_accumulations}
    runs[id(calls[0][1].graph)] = step.num_d_steps * step.d_accumulations
    for call, result in calls:
        graph = result.graph
        if id(graph) not in alive:
            alive[id(graph)] = _reachable(graph)
        if result.op.name in alive[id(graph)]:
            counts[call] += runs[id(graph)]
    return counts


def _reachable(graph) -> set[str]:
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    waiting += [op for op in graph.get_operations() if op.type in WRITING]
    seen = set()
    while waiting:
        op = waiting.pop()
        if op.name not in seen:
            seen.add(op.name)
            waiting += [tensor.op for tensor in op.inputs]
    return seen


def time_forms(call: Call, repeats: int) -> dict[str, float]:
    """Returns the shortest time of a convolution in milliseconds, by form."""
    first, second = (tf.random.normal(shape) for shape in (call.first, call.second))
    rest = (call.kernel, tf.float32) if call.purpose == "kernel_gradient" else ()
    functions = {
        form: tf.function(lambda a, b, f=function: f(a, b, *rest), autograph=False)
        for form, function in TABLES[call.what].items()
    }
    seconds = {form: [] for form in functions}
    for repeat in range(repeats + 1):
        for form, function in functions.items():
            begun = time.perf_counter()
            function(first, second).numpy()
            if repeat:
                seconds[form].append(time.perf_counter() - begun)
    return {form: 1000 * min(values) for form, values in seconds.items()}


def show(counts, repeats: int) -> float:
    """Prints a line for each convolution; returns the time of all convolutions in milliseconds."""
    total = 0.0
    for call, count in sorted(counts.items()):
        times = time_forms(call, repeats)
        marks = {form: "*" if form == call.form else " " for form in times}
        best = min(times, key=times.get)
        if times[best] < NOTEWORTHY * times[call.form]:
            marks[best] = "!"
        total += count * times[call.form]
        text = "  ".join(f"{form}{marks[form]} {value:.2f}" for form, value in times.items())
        shape = f"{call.first} {call.kernel}"
        print(f"{call.what:17}{call.purpose:16}{shape:42} x{count:<3} {text}", flush=True)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setting", default="32px", choices=SETTINGS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=0)
    flags = parser.parse_args()
    config = train_config(flags.setting)
    print(f"load before: {os.getloadavg()[0]:.1f}; {flags.setting}: {SETTINGS[flags.setting]}")
    with Recorder() as recorder:
        _, run, arguments = compiled_step(config)
        run.get_concrete_function(*arguments)
    total = show(counted(recorder.calls, config), flags.repeats)
    print(f"all convolutions of an iteration: {total:.0f} ms")
    if flags.iterations:
        run(*arguments)
        seconds = []
        for _ in range(flags.iterations):
            begun = time.perf_counter()
            run(*arguments)["g_loss"].numpy()
            seconds.append(time.perf_counter() - begun)
        print(
            f"an iteration: {1000 * min(seconds):.0f} ms; share {total / 1000 / min(seconds):.2f}"
        )


if __name__ == "__main__":
    sys.exit(main())
