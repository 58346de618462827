"""A dry run prints what a run needs and leaves the file system as it was."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from tests.training.test_loop import config
from tf_biggan.training.preflight import dry_run as preflight

FLAGS = ["--g_channels=2", "--d_channels=2", "--latent_dim=8", "--image_channels=1"]
ROOT = pathlib.Path(__file__).parents[3]


def files(folder: pathlib.Path) -> dict[str, tuple[float, int]]:
    """Returns the time of change and the size of everything in a folder."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.stat()
        found[str(path)] = (status.st_mtime, 0 if path.is_dir() else status.st_size)
    return found


def test_what_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preflight, "_measured", lambda *_: (100.0, [2.0, 4.0, 9.0]))
    before = files(tmp_path)
    settings = config(num_iterations=1000, ema_start=2000, eval_every=5, eval_images=9)
    text = "\n".join(preflight.dry_run(settings, "runs/a"))
    assert files(tmp_path) == before
    for part in (
        "Data set digits: 1,797 images",
        "Shorter sides of 1,000 images: median 8 pixels, from 8 to 8",
        "Parameters: G ",
        "the discriminator takes 1 step of 8 images (1 replica x 8 images x 1 accumulation step)",
        "the generator takes 1 step of 8 images (1 replica x 8 images x 1 accumulation step)",
        "\n  labels: ok\n",
        "\n  resolution: warning: ",
        "\n  moving average: warning: the average starts at iteration 2,000, but the run ends at",
        "\n  evaluation images: warning: no is: needs at least 10 generated images",
        "First iteration, with compilation: 100 s",
        "Next 3 iterations: 2, 4, 9 s, 2 images/s",
        # 100 s and 1,000 iterations of 4 s.
        "Expected end: in 1:08:20, ",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(num_classes=5), "Labels must be from 0 to 4"),
        (dict(d_accumulations=3), "must be a multiple of replicas times accumulation steps"),
        (dict(dataset="folder:nowhere"), "does not exist"),
    ],
)
def test_settings_that_contradict_each_other_end_it(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        list(preflight.dry_run(config(**settings), str(tmp_path / "a")))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_writes_nothing_anywhere(tmp_path):
    for name in ("work", "home", "temporary", "cache"):
        (tmp_path / name).mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "temporary"),
        "TF_BIGGAN_CACHE": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-m", "tf_biggan.train", "--run_dir=runs/a", "--dry_run", *FLAGS]
    # Keras and matplotlib write caches into the home folder when they are first imported.
    imports = [sys.executable, "-c", "import tf_biggan.training.loop"]
    subprocess.run(imports, env=environment, capture_output=True, check=True)
    before = {name: value for name, value in files(tmp_path).items() if "temporary" not in name}
    done = subprocess.run(
        command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Next 3 iterations: " in done.stdout and done.stdout.endswith("Nothing was written.\n")
    after = files(tmp_path)
    assert {name: value for name, value in after.items() if "temporary" not in name} == before
    # TensorFlow's start is kept quiet through a temporary file, which is gone.
    assert list((tmp_path / "temporary").iterdir()) == []
