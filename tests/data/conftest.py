"""Folders of small images written with PIL, which the tests in this folder share."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

CLASSES = ("ant", "bee", "cow")
PER_CLASS = 7
SIDE = 12

# Allows two replicas on any machine. If devices were configured before, this is refused and not
# needed.
with contextlib.suppress(RuntimeError):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.fixture(scope="session")
def folder_pixels():
    """Returns the pixels of the images in `image_folder`, in order: uint8 [21, 12, 12, 3]."""
    numbers = np.random.default_rng(0).integers(0, 256, (len(CLASSES) * PER_CLASS, SIDE, SIDE, 3))
    return numbers.astype(np.uint8)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory, folder_pixels):
    """Returns a folder with seven images in each of three classes. Tests must not change it."""
    root = tmp_path_factory.mktemp("images")
    for index, pixels in enumerate(folder_pixels):
        label, number = divmod(index, PER_CLASS)
        (root / CLASSES[label]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / CLASSES[label] / f"{number}.png")
    return root


@pytest.fixture
def own_folder(tmp_path, folder_pixels):
    """Returns a folder with three images in each of two classes, which a test may damage."""
    for index, pixels in enumerate(folder_pixels[:6]):
        folder = tmp_path / "own" / CLASSES[index // 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{index % 3}.png")
    return tmp_path / "own"
