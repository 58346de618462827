"""Prints how the time of a training iteration is divided between groups of operations.

    python benchmarks/iteration_profile.py --setting=32px

TensorFlow's profiler records every operation of a few iterations. The script adds up the times of
all operations in a group. Operations that run at the same time on several cores are all counted, so
the sum may exceed the time of an iteration. Run the script on an idle machine.
"""

from __future__ import annotations

import argparse
import collections
import glob
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from iteration_settings import SETTINGS, compiled_step, train_config
from tensorflow.tsl.profiler.protobuf import xplane_pb2

# Each group has parts of names of operation types. An operation belongs to the first group of which
# one part occurs in the name of its type.
GROUPS = {
    "convolutions": ("Conv2D",),
    "matrix products and softmax: mostly attention": ("MatMul", "Softmax"),
    "Adam, moving average and other assignments": ("ResourceApplyAdam", "Assign"),
    "moving data: phases, transposes, slices": (
        *("Pack", "StridedSlice", "Transpose", "Concat", "Tile", "Split", "Pad", "Gather"),
        *("Reshape", "Slice", "Reverse"),
    ),
    "pooling and ReLU": ("Pool", "Relu"),
    "arithmetic and sums: batch norm, losses": ("",),
}


def operation_times(folder: str) -> dict[str, float]:
    """Returns the seconds of each operation type, from the profile in a folder."""
    (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
    with open(path, "rb") as file:
        space = xplane_pb2.XSpace.FromString(file.read())
    seconds = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # The profiler records operations as NAME:TYPE and functions of its runtime as A::B.
                name, colon, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if colon and not name.endswith(":") and " " not in kind:
                    seconds[kind] += event.duration_ps * 1e-12
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setting", default="32px", choices=SETTINGS)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--operations", type=int, default=0, help="list the slowest types too")
    flags = parser.parse_args()
    _, run, arguments = compiled_step(train_config(flags.setting))
    for _ in range(2):
        run(*arguments)["g_loss"].numpy()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            begun = time.perf_counter()
            for _ in range(flags.iterations):
                run(*arguments)["g_loss"].numpy()
            wall = (time.perf_counter() - begun) / flags.iterations
        seconds = operation_times(folder)
    total = sum(seconds.values())
    sums = collections.Counter()
    for kind, value in seconds.items():
        group = next(g for g, parts in GROUPS.items() if any(part in kind for part in parts))
        sums[group] += value
    print(f"{flags.setting}: an iteration {1000 * wall:.0f} ms while profiled")
    for group in GROUPS:
        print(f"{group:55}{100 * sums[group] / total:6.1f} %")
    for kind, value in seconds.most_common(flags.operations):
        print(f"    {kind:51}{100 * value / total:6.1f} %")


if __name__ == "__main__":
    sys.exit(main())
