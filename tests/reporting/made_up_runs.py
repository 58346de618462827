"""Folders of runs that never trained: what a run leaves, written directly."""

from __future__ import annotations

import json
import pathlib

import numpy as np

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import DataIdentity
from tf_biggan.evaluation.features.image_sets import SourceImages
from tf_biggan.files.png import save_png
from tf_biggan.pictures.sheets_and_animations import sheet
from tf_biggan.store.run_directory import write_config

SIDE = 32
NAMES = tuple("0123456789")
SETTINGS = dict(image_channels=1, num_classes=10, num_iterations=20, global_batch_size=64)


def write_run(path: pathlib.Path, entries, names=NAMES, **settings) -> str:
    """Writes settings, classes, the identity of the digits and the log of a run."""
    config = TrainConfig.from_flat({**SETTINGS, **settings})
    write_config(str(path), config, names, DataIdentity.of(open_source("digits")))
    write_log(path, entries)
    return str(path)


def write_log(path: pathlib.Path, entries) -> None:
    """Writes the log of a run."""
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    (path / "metrics.jsonl").write_text(lines)


def losses(iteration: int, **values) -> dict:
    """Returns a line of the log."""
    usual = dict(d_loss_real=0.5, d_loss_fake=0.4, d_real=0.3, d_fake=-0.2, g_loss=0.1)
    usual |= dict(seconds=iteration * 0.5, images_seen=iteration * 64, images_per_second=128.0)
    return {"iteration": iteration, **usual, **values}


def write_sheets(path: pathlib.Path, iterations, rows=range(100)) -> np.ndarray:
    """Writes sheets whose samples are the given rows of the digits; returns the samples."""
    pixels = SourceImages(open_source("digits"), (SIDE, SIDE), 1).take(np.array(rows))
    (path / "samples").mkdir(exist_ok=True)
    page = sheet(pixels, 10, NAMES)
    for name in (*(f"iteration-{iteration:07d}" for iteration in iterations), "reals"):
        save_png(page, str(path / "samples" / f"{name}.png"))
    return pixels


def write_best(path: pathlib.Path, score: str, iteration: int) -> None:
    """Writes the files by which the folder of a best checkpoint is recognised."""
    folder = path / f"best-{score}" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / f"iteration-{iteration}.index").write_bytes(b"")
