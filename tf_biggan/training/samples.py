"""Sheets of samples of a run: rows are classes, z stays the same from sheet to sheet."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf
from PIL import Image

from tf_biggan import images
from tf_biggan.models.generator import Generator
from tf_biggan.replaced_file import remove_leftovers

COLUMNS = 10
MAX_ROWS = 10
FOLDER = "samples"


class SampleSheets:
    """RUN/samples/iteration-N.png of a generator, in inference mode.

    Args:
      generator: usually the moving average.
      run_dir: folder of the run.
      class_names: names for the rows; empty for an unconditional generator.
      seed: of the run.
    """

    def __init__(self, generator: Generator, run_dir: str, class_names: tuple[str, ...], seed: int):
        self._generator = generator
        self._folder = os.path.join(run_dir, FOLDER)
        remove_leftovers(self._folder)
        rows = min(MAX_ROWS, len(class_names)) or MAX_ROWS
        classes = np.linspace(0, max(0, len(class_names) - 1), rows).round().astype(np.int32)
        self._row_labels = [class_names[index] for index in classes] if class_names else None
        random = np.random.RandomState(seed)
        z = random.standard_normal((rows, COLUMNS, generator.latent_dim)).astype(np.float32)
        self._rows = list(zip(z, classes, strict=True))
        self._generate = tf.function(self._generator)

    def draw(self, iteration: int) -> tuple[str, Image.Image]:
        """Writes the sheet of the generator as it is; returns its path and the sheet."""
        os.makedirs(self._folder, exist_ok=True)
        rows = []
        for z, label in self._rows:
            labels = np.full(COLUMNS, label) if self._row_labels else None
            rows.append(self._generate(z, labels, training=False).numpy())
        sheet = images.sheet(images.to_uint8(np.concatenate(rows)), COLUMNS, self._row_labels)
        path = os.path.join(self._folder, f"iteration-{iteration:07d}.png")
        images.save_png(sheet, path, {"iteration": str(iteration), "bn": "running", "z": "N(0, I)"})
        return path, sheet
