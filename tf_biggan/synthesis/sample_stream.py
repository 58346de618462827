"""Makes many images and hands them on batch after batch; what is interrupted goes on."""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np

from tf_biggan.images import to_uint8
from tf_biggan.progress import Progress
from tf_biggan.synthesis.sampler import Sampler
from tf_biggan.synthesis.unfinished import begin, discard, require_same, unfinished_folder
from tf_biggan.synthesis.wanted_images import WantedImages


class Target(Protocol):
    """What images are written to.

    Attributes:
      path: its name once it is complete.
      request: JSON values that the images follow from.
    """

    path: str
    request: dict[str, object]

    def finished(self) -> dict | None:
        """The request of what is complete at `path`; None where nothing is."""

    def done(self, folder: str) -> int:
        """How many images, from the first on, are written in the unfinished folder."""

    def write(self, folder: str, start: int, images: np.ndarray) -> None:
        """Writes images, uint8 [n, H, W, C], the first of which is number `start`."""

    def finish(self, folder: str) -> None:
        """Gives what is in the folder its final name."""


def stream(target: Target, wanted: WantedImages, sampler: Sampler, truncation: float | None) -> str:
    """Writes all images; returns what to tell the user.

    Raises:
      ValueError: there are images of another request, or the disk is full; what is written stays,
        and the same request goes on with it.
    """
    there = target.finished()
    if there is not None:
        require_same(there, target.request, target.path)
        discard(target.path)
        return f"There already: {target.path}"
    folder, count = unfinished_folder(target.path), len(wanted.seeds)
    try:
        begin(target.path, target.request)
        # Whole batches, so that statistics of batches are those of an uninterrupted command.
        start = min(count, target.done(folder)) // sampler.rows * sampler.rows
        progress = Progress("Sampling", count, done=start)
        parts = wanted.seeds[start:], wanted.conditions(start, count)
        for images in sampler.batches(*parts, truncation):
            target.write(folder, start, to_uint8(images))
            start += len(images)
            progress.add(len(images))
        progress.close()
        target.finish(folder)
        discard(target.path)
    except OSError as error:
        raise ValueError(
            "The images must have room and be writable; the same command goes on where it stopped."
            f" Received: {target.path} ({os.strerror(error.errno) if error.errno else error})."
        ) from error
    return f"Written: {count:,} images in {target.path}"
