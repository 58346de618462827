"""Model folders and seeds under Keras's other backends, compared with the references' images."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.exporting.goldens import write_model
from tests.golden_files import golden
from tests.networks import backend_program
from tests.networks.golden_models import (
    AUTHORS,
    authors_discriminator,
    authors_generator,
    truncation_of_ours,
)
from tf_biggan.conversion import biggan_pytorch
from tf_biggan.store.model_directory import write_directory

ROOT = pathlib.Path(__file__).parents[2]
# A plain generator, one with a split z and attention, and a deep one with a table of statistics.
LIGHT = ("aj_c10", "aj_i64", "hf_tiny32")
TABLE_KEY, TABLE_ROWS = "out_t0.43", 51
RUNS = [
    pytest.param("torch", LIGHT, id="torch"),
    pytest.param("torch", (*AUTHORS, "hf_tiny128"), id="torch all", marks=pytest.mark.slow),
    pytest.param("jax", (*AUTHORS, "hf_tiny32"), id="jax all", marks=pytest.mark.slow),
]


def write_fixture(name: str, folder: pathlib.Path) -> None:
    """Writes a fixture as a model folder, and its inputs beside it."""
    arrays = golden(name).arrays
    inputs = {"z": arrays["in/z"]}
    if name in AUTHORS:
        generator = authors_generator(golden(name))
        biggan_pytorch.load_generator(generator, golden(name).weights("G"))
        networks = {"generator": generator}
        if AUTHORS[name]["discriminator"] is not None:
            networks["discriminator"] = authors_discriminator(golden(name))
            biggan_pytorch.load_discriminator(networks["discriminator"], golden(name).weights("D"))
            given = dict(images=arrays["in/x"], labels=arrays["in/y_real"])
            np.savez(folder / f"{name}.images.npz", **given)
        write_directory(str(folder / name), networks)
        inputs["labels"] = arrays["in/y_fake"]
    else:
        os.rename(write_model(name, folder), folder / name)
        inputs["labels"] = arrays["in/y"]
        truncation = truncation_of_ours(float(TABLE_KEY.removeprefix("out_t")), TABLE_ROWS)
        inputs["truncation"] = np.float32(truncation)
    np.savez(folder / f"{name}.inputs.npz", **inputs)


@pytest.mark.parametrize(("backend", "names"), RUNS)
def test_another_backend_gives_the_images_and_the_weights(backend, names, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    for name in names:
        write_fixture(name, tmp_path)
    program = [sys.executable, backend_program.__file__, str(tmp_path)]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": paths}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = np.load(tmp_path / f"{backend}.npz")
    for name in names:
        key = "G_eval" if name in AUTHORS else TABLE_KEY
        golden(name).assert_close(made[f"images/{name}"], key)
        if f"logits/{name}" in made.files:
            golden(name).assert_close(made[f"logits/{name}"], "D_eval")
    assert sum(key.startswith("logits/") for key in made.files) >= 2
    expected = backend_program.weights()
    assert {key for key in made.files if key.startswith("weights/")} == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(made[key], value, err_msg=key)
    told = json.loads((tmp_path / f"{backend}.json").read_text(encoding="utf-8"))
    assert set(told) == {"open a run", "train", "evaluate", "sample", "export"}
    for message in told.values():
        assert "needs TensorFlow as the backend of Keras; set KERAS_BACKEND=tensorflow" in message
        assert f"backend='{backend}'" in message and "\n" not in message
    assert not list(tmp_path.glob("none*"))
