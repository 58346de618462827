"""Exports run in TensorFlow's C library, without Python, and in saved_model_cli."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.exporting.test_model_card import SIGNATURES
from tests.exporting.test_signatures import floats, integers

SOURCE = pathlib.Path(__file__).with_name("run_saved_model.c")
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def _places(path):
    """Returns the operations of the inputs, and (operation, index) of the output of "generate"."""
    message = saved_model_pb2.SavedModel()
    message.ParseFromString(pathlib.Path(path, "saved_model.pb").read_bytes())
    signature = message.meta_graphs[0].signature_def["generate"]
    names = [signature.inputs[key].name for key in ("label", "seed", "truncation")]
    output, _, index = signature.outputs["images"].name.partition(":")
    return [name.partition(":")[0] for name in names], output, index


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
def test_a_c_program_makes_the_same_image(export_path, loaded, tmp_path):
    folder, program = tf.sysconfig.get_lib(), str(tmp_path / "run_saved_model")
    libraries = [f"{folder}/libtensorflow_cc.so.2", f"{folder}/libtensorflow_framework.so.2"]
    command = [COMPILER, str(SOURCE), f"-I{tf.sysconfig.get_include()}", "-o", program, *libraries]
    subprocess.run([*command, f"-Wl,-rpath,{folder}"], check=True)
    inputs, output, index = _places(export_path)
    made = subprocess.run(
        [program, export_path, *inputs, output, index], check=True, capture_output=True
    )
    image = np.frombuffer(made.stdout, np.uint8).astype(int)
    asked = dict(label=integers(3), seed=integers(7), truncation=floats(0.5))
    expected = loaded.signatures["generate"](**asked)["images"].numpy().reshape(-1)
    assert image.size == 32 * 32 * 3 and np.abs(image - expected).max() <= 1


@pytest.mark.slow
def test_saved_model_cli_shows_all_signatures(export_path):
    command = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")
    shown = subprocess.run(
        [command, "show", "--all", "--dir", export_path], check=True, capture_output=True, text=True
    )
    for name in SIGNATURES:
        assert f"signature_def['{name}']" in shown.stdout
