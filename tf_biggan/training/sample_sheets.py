"""Sheets of samples during training: a row for each of up to 10 classes, and always the same z."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from tf_biggan.data.source import Source
from tf_biggan.evaluation.features.image_sets import SourceImages
from tf_biggan.files import file_system
from tf_biggan.files.atomic import remove_leftovers
from tf_biggan.files.png import save_png, to_uint8
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.networks.generator import Generator
from tf_biggan.pictures import sheets_and_animations

COLUMNS = 10
MAX_ROWS = 10
FOLDER = "samples"
REALS_FILE = "reals.png"
BLANK = 255


class SampleSheets:
    """Writes RUN/samples/iteration-N.png (generated) and RUN/samples/reals.png (real images).

    Args:
      generator: The generator to sample from, usually the moving average. It runs in inference
        mode.
      run_dir: Folder of the run.
      class_names: Names of the classes; empty for an unconditional generator.
      seed: The seed of the run, from which the latent vectors are sampled.
    """

    def __init__(self, generator: Generator, run_dir: str, class_names: tuple[str, ...], seed: int):
        self._generator = generator
        self._folder = os.path.join(run_dir, FOLDER)
        remove_leftovers(self._folder)
        rows = min(MAX_ROWS, len(class_names)) or MAX_ROWS
        classes = np.linspace(0, max(0, len(class_names) - 1), rows).round().astype(np.int32)
        self._classes = classes
        self._row_labels = [class_names[index] for index in classes] if class_names else None
        random = np.random.RandomState(seed)
        z = random.standard_normal((rows * COLUMNS, generator.latent_dim))
        self._z = z.astype(np.float32)
        self._maker = ImageMaker(generator, batch_size=COLUMNS)

    def is_drawn(self, iteration: int) -> bool:
        """Returns whether the sheet of an iteration exists."""
        return file_system.exists(self._path(iteration))

    def draw_reals(self, source: Source, seed: int) -> None:
        """Writes reals.png unless it exists: real images, preprocessed as for training.

        Images are not mirrored. The rows have the same classes as those of the generated sheets.
        Cells stay white if a class has too few images.

        Args:
          source: The training data.
          seed: Seed for the choice of images.
        """
        path = os.path.join(self._folder, REALS_FILE)
        if file_system.exists(path):
            return
        file_system.makedirs(self._folder)
        size, channels = self._generator.image_size, self._generator.image_channels
        rows = _chosen_reals(source.labels, self._classes, bool(self._row_labels), seed)
        pixels = np.full((len(self._classes), COLUMNS, *size, channels), BLANK, np.uint8)
        taken = SourceImages(source, size, channels).take(np.concatenate(rows))
        for row, images_of_row in zip(pixels, np.split(taken, _ends(rows)), strict=True):
            row[: len(images_of_row)] = images_of_row
        page = sheets_and_animations.sheet(
            pixels.reshape(-1, *size, channels), COLUMNS, self._row_labels
        )
        name = source.name.encode("ascii", "backslashreplace").decode()
        save_png(page, path, {"dataset": name})

    def draw(self, iteration: int) -> tuple[str, Image.Image]:
        """Writes a sheet of generated images; returns its path and the sheet."""
        file_system.makedirs(self._folder)
        labels = np.repeat(self._classes, COLUMNS) if self._row_labels else None
        pixels = to_uint8(self._maker.images(self._z, labels))
        page = sheets_and_animations.sheet(pixels, COLUMNS, self._row_labels)
        path = self._path(iteration)
        save_png(page, path, {"iteration": str(iteration), "bn": "running", "z": "N(0, I)"})
        return path, page

    def _path(self, iteration):
        return os.path.join(self._folder, f"iteration-{iteration:07d}.png")


def _chosen_reals(labels, classes, conditional: bool, seed: int) -> list[np.ndarray]:
    """Returns the indices of up to `COLUMNS` different real images for each row of a sheet."""
    random = np.random.RandomState(seed)
    if conditional:
        return [random.permutation(np.flatnonzero(labels == c))[:COLUMNS] for c in classes]
    chosen = random.permutation(len(labels))[: COLUMNS * len(classes)]
    return [chosen[row * COLUMNS : (row + 1) * COLUMNS] for row in range(len(classes))]


def _ends(rows) -> np.ndarray:
    return np.cumsum([len(row) for row in rows])[:-1]
