"""Files that version 0.1.0 wrote can be opened and give the same images.

The folder version_0_1 was made by the commands of that version on a CPU: a run (width 1, three
iterations on the digits), a model folder converted from the run, an export, and the images of seed
0 of the classes 0 to 3 that `python -m tf_biggan.sample` made from each.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent / "version_0_1"
MODELS = {"run": "images.npz", "model": "images_model.npz", "export/1": "images_export.npz"}


def _command(name, *arguments):
    command = [sys.executable, "-m", f"tf_biggan.{name}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("model", MODELS)
def test_sample_gives_the_same_images(model, tmp_path):
    output = tmp_path / "images.npz"
    process = _command(
        "sample",
        f"--model={FOLDER / model}",
        "--classes=0-3",
        "--num_per_class=1",
        f"--output={output}",
    )
    assert process.returncode == 0, process.stderr
    with np.load(FOLDER / MODELS[model]) as expected, np.load(output) as images:
        difference = images["arr_0"].astype(int) - expected["arr_0"].astype(int)
        # Another CPU may round a value to a neighbouring integer.
        assert np.abs(difference).max() <= 1
        np.testing.assert_array_equal(images["arr_1"], expected["arr_1"])


@pytest.mark.slow
def test_a_run_resumes(tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(FOLDER / "run", run_dir)
    settings = json.loads((run_dir / "config.json").read_text())
    flags = []
    for group in settings.values():
        for name, value in group.items():
            if value is not None and name != "num_iterations":
                text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
                flags.append(f"--{name}={text}")
    process = _command("train", f"--run_dir={run_dir}", *flags, "--num_iterations=4")
    assert process.returncode == 0, process.stderr
    assert os.path.exists(run_dir / "checkpoints" / "iteration-4.index")
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3, 4]
