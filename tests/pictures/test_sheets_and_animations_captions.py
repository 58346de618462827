"""Captions below images: pixels are unchanged, text appears, and long text is shortened."""

from __future__ import annotations

import numpy as np

from tf_biggan.pictures.sheets_and_animations import LINE_HEIGHT, captioned


def test_pixels_are_enlarged_and_lines_stand_below():
    images = np.random.RandomState(0).randint(0, 256, (2, 30, 40, 3)).astype(np.uint8)
    made = captioned(images, [["1.25", "cat"], ["", "a name that is far too wide for it"]])
    assert made.shape == (2, 90 + 2 * LINE_HEIGHT, 120, 3) and made.dtype == np.uint8
    np.testing.assert_array_equal(made[:, :90:3, ::3], images)
    ink = made[:, 90:].min(axis=-1) < 128
    lines = ink.reshape(2, 2, LINE_HEIGHT, 120).any(axis=(2, 3))
    np.testing.assert_array_equal(lines, [[True, True], [False, True]])
    # The text is shortened and does not run over the edges.
    assert ink[1, :, 4:-4].any() and not ink[1, :, [0, -1]].any()
