"""Every command in README.md and docs/ runs, in a folder with small stand-ins."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.documentation import PAGES, ROOT, SHELL, blocks

pytestmark = pytest.mark.slow

# These flags are added to every file in configs/, because the last value of a flag counts.
SMALL = """
--num_iterations=2
--save_every=1
--sample_every=1
--eval_every=0
--global_batch_size=4
--d_accumulations=1
--g_accumulations=1
--num_d_steps=1
"""
NARROW = "--g_channels=1\n--d_channels=1\n"
# What each page assumes to exist, in addition to configs/ and the quickstart's run.
GIVEN = {
    "README.md": ("birds", "weights", "photo.png"),
    "docs/export_and_serving.md": ("runs/birds",),
    "docs/fine_tuning.md": ("birds", "weights"),
    "docs/own_data.md": ("birds",),
    "docs/published_weights.md": ("runs/birds",),
}
INSTALLATION = ("quickstart command", "test command")
SECONDS = 1800


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """Returns a folder with small versions of a user's settings, run, images and weights."""
    folder = tmp_path_factory.mktemp("stand_ins")
    shutil.copytree(ROOT / "configs", folder / "configs")
    for path in (folder / "configs").iterdir():
        narrow = "" if path.stem == "finetune" else NARROW
        path.write_text(path.read_text(encoding="utf-8") + SMALL + narrow, encoding="utf-8")
    run(
        "python -m tf_biggan.train --flagfile=configs/quickstart.flags --run_dir=runs/quickstart"
        " --keep_checkpoints=2",
        folder,
    )
    run(
        "python -m tf_biggan.train --flagfile=configs/quickstart.flags --resolution=32"
        " --latent_dim=32 --run_dir=runs/birds",
        folder,
    )
    images = np.random.default_rng(0).integers(0, 256, (6, 140, 150, 3), np.uint8)
    for number, image in enumerate(images):
        place = folder / "birds" / ("finch", "owl", "wren")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.jpg")
    Image.fromarray(images[0]).save(folder / "photo.png")
    write_imagenet_weights(str(folder / "weights"))
    return folder


def write_imagenet_weights(path: str) -> None:
    """Writes BigGAN-PyTorch's files of narrow networks with ImageNet's classes."""
    from tf_biggan import Discriminator, Generator
    from tf_biggan.conversion.to_biggan_pytorch import write_checkpoints

    narrow = dict(base_channels=2, num_classes=1000, seed=0)
    generator = Generator("biggan64", latent_dim=20, embedding_dim=4, **narrow)
    networks = {"generator": generator, "raw_generator": generator}
    networks["discriminator"] = Discriminator("biggan64", **narrow)
    write_checkpoints(networks, path, "npz")


def run(command: str, folder: pathlib.Path) -> None:
    """Runs a shell command, in which `python` is the interpreter of the tests."""
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "TF_BIGGAN_CACHE": str(folder / "cache"),
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page(page, stand_ins, tmp_path):
    for name in ("configs", "runs/quickstart", *GIVEN.get(page, ())):
        whole = stand_ins / name
        copy = shutil.copytree if whole.is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(whole, tmp_path / name)
    if (stand_ins / "cache").exists():
        shutil.copytree(stand_ins / "cache", tmp_path / "cache")
    for block in blocks(page):
        if block.mark.endswith((".py", ".json")):
            (tmp_path / block.mark).write_text(block.text, encoding="utf-8")
        elif block.mark == "run":
            (tmp_path / "block.py").write_text(block.text, encoding="utf-8")
            run("python block.py", tmp_path)
        elif block.language == SHELL and block.is_run and block.mark not in INSTALLATION:
            for command in block.commands():
                # The server runs until Ctrl-C. tests/serving sends requests to it.
                if "--serve=" not in command:
                    run(command, tmp_path)
