"""Folders of small images written with PIL, shared by the tests of the data side."""

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

# Two replicas on any machine; refused, and not needed, where devices were set up before.
with contextlib.suppress(RuntimeError):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.fixture(scope="session")
def folder_pixels():
    """uint8 [21, 12, 12, 3]: what `image_folder` holds, in its order."""
    numbers = np.random.default_rng(0).integers(0, 256, (len(CLASSES) * PER_CLASS, SIDE, SIDE, 3))
    return numbers.astype(np.uint8)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory, folder_pixels):
    """A folder of three classes of seven lossless images each; tests must not write to it."""
    root = tmp_path_factory.mktemp("images")
    for index, pixels in enumerate(folder_pixels):
        label, number = divmod(index, PER_CLASS)
        (root / CLASSES[label]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / CLASSES[label] / f"{number}.png")
    return root


@pytest.fixture
def own_folder(tmp_path, folder_pixels):
    """A folder of two classes of three images each, to be damaged by a test."""
    for index, pixels in enumerate(folder_pixels[:6]):
        folder = tmp_path / "own" / CLASSES[index // 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{index % 3}.png")
    return tmp_path / "own"
