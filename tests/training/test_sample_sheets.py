"""The sheet of real images: rows of the right classes, and pixels as in training."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from PIL import Image

from tests.training.loop_without_networks import FakeGenerator
from tf_biggan.data.decoding import crop_and_resize
from tf_biggan.data.schemes import open_source
from tf_biggan.pictures import sheets_and_animations
from tf_biggan.training.sample_sheets import COLUMNS, SampleSheets


def drawn(tmp_path, monkeypatch, source, names):
    """Returns the images in reals.png, [rows, COLUMNS, 32, 32], and its row labels."""
    made = []
    original = sheets_and_animations.sheet
    monkeypatch.setattr(
        sheets_and_animations, "sheet", lambda *args: made.append(args) or original(*args)
    )
    SampleSheets(FakeGenerator(), str(tmp_path), names, 0).draw_reals(source, seed=0)
    ((pixels, columns, labels),) = made
    assert Image.open(tmp_path / "samples" / "reals.png").text["dataset"] == source.name
    return pixels.reshape(-1, columns, 32, 32), labels


def pictures(source, indices):
    """Returns the preprocessed pixels of some images of a source, as a set of bytes."""
    return {crop_and_resize(source.load(i, 1), 32, 32).numpy().tobytes() for i in map(int, indices)}


@pytest.fixture(scope="module")
def digits():
    return open_source("digits")


def test_rows_are_classes_and_missing_images_are_white(tmp_path, monkeypatch, digits):
    # Only four images of a nine are left.
    nines = np.flatnonzero(digits.labels == 9)
    labels = digits.labels.copy()
    labels[nines[4:]] = 8
    source = copy.copy(digits)
    source.labels = labels
    rows, names = drawn(tmp_path, monkeypatch, source, digits.class_names)
    assert rows.shape[:2] == (10, COLUMNS) and list(names) == list(digits.class_names)
    for label in (0, 9):
        known = pictures(digits, np.flatnonzero(labels == label))
        shown = [picture.tobytes() for picture in rows[label]]
        assert set(shown[:4]) <= known and len(set(shown[:4])) == 4
        assert all((one in known) == (label == 0) for one in shown[4:])
    assert (rows[9, 4:] == 255).all()


def test_without_classes_every_image_may_be_anywhere(tmp_path, monkeypatch, digits):
    rows, names = drawn(tmp_path, monkeypatch, digits, ())
    assert names is None and rows.shape[:2] == (10, COLUMNS)
    assert len({picture.tobytes() for row in rows for picture in row}) > 90
    assert not (rows == 255).all((2, 3)).any()
