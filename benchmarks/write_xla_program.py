"""Writes one training iteration as an XLA program, for machines that have JAX and no TensorFlow.

    python benchmarks/write_xla_program.py program32 --setting=32px
    python benchmarks/write_xla_program.py cifar10-bfloat16-fused --setting=cifar10 \
        --flag=precision=mixed_bfloat16 --forms=fused

`run_xla_program.py` compiles the program and runs it on the other machine. The program is not
optimised, so it is the same for every kind of device. The script writes `program.hlo` and
`program.json`, which describes images, variables and metrics in the order of the program. With
--values, it also writes the initial variables to `values.npz`. Without this file, the runner
samples every variable from a normal distribution with the variable's mean and standard deviation.
--forms chooses how convolutions are computed: fused with upsampling and pooling, as this package
computes them on a GPU, or as separate operations, as it computes them on a TPU.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from iteration_settings import GPU_SETTINGS, SETTINGS, train_config
from tensorflow.compiler.xla.service import hlo_pb2

from tf_biggan.data.label_distribution import LabelDistribution
from tf_biggan.networks.layers import fused_convolutions
from tf_biggan.training.start import create_state
from tf_biggan.training.train_step import batch_plan, input_sampler, replica_iteration
from tf_biggan.training.updates import RealBatch

# The ways to compute convolutions, as rows of `fused_convolutions.FORMS`.
FORMS = {"fused": fused_convolutions.FORMS["GPU"], "separate": fused_convolutions.FORMS["TPU"]}


def iteration_function(config):
    """Returns the iteration, the shape of its images, and the state.

    The iteration is a function of uint8 images and int32 labels that returns the metrics.
    """
    state, step = create_state(config), config.step
    classes, size = config.model.num_classes, batch_plan(step, 1)["d"]
    labels = LabelDistribution(np.full(classes, 1 / classes))
    sampler = input_sampler(state, step, 0, labels, 1)
    passes = (step.num_d_steps, step.d_accumulations)

    @tf.function(jit_compile=True, autograph=False)
    def iteration(images, labels):
        images = tf.cast(images, tf.float32) / 127.5 - 1
        reals = [
            [RealBatch(images[i, j], labels[i, j]) for j in range(passes[1])]
            for i in range(passes[0])
        ]
        metrics = replica_iteration(state, step, reals, sampler)
        return [metrics[name] for name in sorted(metrics)]

    shape = (*passes, size, *state.generator.image_size, config.model.image_channels)
    return iteration, shape, state


PARTS = ("generator", "discriminator", "average", "g_optimizer", "d_optimizer")


def variables_of(state) -> dict[str, tf.Variable]:
    """Returns all variables of the state, each under its part and its number in this part."""
    named = {
        f"{part}/{number}": variable.value
        for part in PARTS
        for number, variable in enumerate(getattr(state, part).variables)
    }
    return {**named, "iteration": state.iteration}


def described(key: str, variable) -> dict:
    """Returns the facts about a variable that the runner needs."""
    values = variable.numpy()
    return {
        "key": key,
        "name": variable.name,
        "shape": list(values.shape),
        "dtype": values.dtype.name,
        "mean": float(values.mean()),
        "deviation": float(values.std()),
        # The program returns the new values of the variables for which this is true.
        "written": "learning_rate" not in variable.name,
    }


def without_copies(program: bytes) -> bytes:
    """Returns a program whose copies are reshapes to the same shape.

    JAX hands a program to a GPU in the form of StableHLO, which has no copies.
    """
    module = hlo_pb2.HloModuleProto.FromString(program)
    for computation in module.computations:
        for instruction in computation.instructions:
            if instruction.opcode == "copy":
                instruction.opcode = "reshape"
    return module.SerializeToString()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--setting", default="32px", choices=[*SETTINGS, *GPU_SETTINGS])
    parser.add_argument("--flag", action="append", default=[], help="NAME=VALUE of TrainConfig")
    parser.add_argument("--forms", default="fused", choices=FORMS)
    parser.add_argument("--values", action="store_true")
    flags = parser.parse_args()
    fused_convolutions.device_kind = lambda: "GPU"
    fused_convolutions.FORMS["GPU"] = FORMS[flags.forms]
    overrides = dict(flag.split("=", 1) for flag in flags.flag)
    overrides = {name: _parsed(text) for name, text in overrides.items()}
    config = train_config(flags.setting, **overrides)
    iteration, shape, state = iteration_function(config)
    arguments = tf.zeros(shape, tf.uint8), tf.zeros(shape[:3], tf.int32)
    concrete = iteration.get_concrete_function(*arguments)
    program = iteration.experimental_get_compiler_ir(*arguments)(stage="hlo_serialized")
    by_handle = {
        id(variable.handle): (key, variable) for key, variable in variables_of(state).items()
    }
    variables = [by_handle[id(handle)] for handle in concrete.captured_inputs]
    about = {
        "config": json.loads(config.to_json()),
        "images": shape,
        "classes": config.model.num_classes,
        "metrics": len(concrete.outputs),
        "variables": [described(*variable) for variable in variables],
    }
    flags.folder.mkdir(parents=True, exist_ok=True)
    (flags.folder / "program.hlo").write_bytes(without_copies(program))
    (flags.folder / "program.json").write_text(json.dumps(about))
    if flags.values:
        np.savez(flags.folder / "values.npz", *(variable.numpy() for _, variable in variables))
    print(f"{flags.folder}: {len(program) / 1e6:.1f} MB, {len(variables)} variables")


def _parsed(text):
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


if __name__ == "__main__":
    sys.exit(main())
