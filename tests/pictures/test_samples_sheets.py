"""Sheets of samples: truncations as columns, iterations as captions, and size limits."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.pictures.image_selection import ImageSelection
from tf_biggan.pictures.samples import check_page, truncations_page, with_iteration
from tf_biggan.pictures.sheets_and_animations import sheet


def wanted(rows, columns):
    count = rows * columns
    return ImageSelection(np.arange(count), np.arange(count), None, columns, None, {})


class Maker:
    """An `ImageMaker` whose images show seed, label and truncation."""

    def sampled_batches(self, seeds, indices, labels, truncation):
        levels = (10 * seeds + labels + 100 * truncation) / 127.5 - 1
        yield np.broadcast_to(levels[:, None, None, None], (len(seeds), 48, 48, 1))


def test_columns_are_truncations():
    page = np.asarray(truncations_page(Maker(), wanted(3, 1), (0.5, 1.0)))
    assert page.shape == (16 + 3 * 50 + 2, 2 * 50 + 2)
    shown = page[16 + 2 :: 50, 2::50][:3, :2]
    assert shown.tolist() == [[50, 100], [61, 111], [72, 122]]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_iteration_stands_below(channels):
    page = sheet(np.zeros((4, 48, 48, channels), np.uint8), 2)
    made = with_iteration(page, 12000)
    assert made.mode == page.mode and made.width == page.width
    assert made.crop((0, 0, *page.size)).tobytes() == page.tobytes()
    below = np.asarray(made)[page.height :]
    assert 5 < len(below) < 30 and (below < 128).any()
    assert with_iteration(page, 13000).tobytes() != made.tobytes()


def test_pages_that_no_program_shows_are_refused():
    check_page(wanted(10, 10), 10, (512, 512))
    with pytest.raises(
        ValueError, match=r"at most 80,000,000 pixels.*\.npz file or a folder.*images=10"
    ):
        check_page(wanted(1000, 10), 10, (128, 128))
    # Small images are enlarged.
    with pytest.raises(ValueError, match="at most"):
        check_page(wanted(40, 1), 1000, (32, 32))
