"""Which seed and class every image has."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.data.classes import ClassLookup
from tf_biggan.pictures.image_requests import requested_images

THREE = ClassLookup(("tench, Tinca tinca", "7", "hen"))
MANY, NONE = ClassLookup((), 1000), ClassLookup((), 0)


def wanted(lookup=THREE, **values):
    return requested_images(SampleConfig(model="m", **values), lookup)


def test_rows_of_a_sheet_share_their_seeds():
    made = wanted()
    assert made.seeds.reshape(3, 10).tolist() == [list(range(10))] * 3
    assert made.labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10 and made.columns == 10
    assert made.row_labels == ("0 tench", "1 7", "2 hen")
    assert made.description["seeds"] == "0-9" and made.conditions(9, 12).tolist() == [0, 1, 1]
    assert made.description["classes"][0].startswith("0 n01440764 tench")


def test_many_classes_are_shown_in_ten_rows_and_written_whole():
    assert wanted(MANY).labels[::10].tolist() == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]
    assert len(np.unique(wanted(MANY, output="a.npz").labels)) == 1000
    assert wanted(MANY, classes="all").description == {"classes": "0-999", "seeds": "0-9"}


@pytest.mark.parametrize("output", ["a.npz", "a"])
def test_images_of_a_set_have_seeds_of_their_own(output):
    made = wanted(num_per_class=4, seeds="100", classes="hen,0", output=output)
    assert made.labels.tolist() == [2] * 4 + [0] * 4
    assert made.seeds.tolist() == list(range(100, 108)) and made.description["seeds"] == "100-107"


def test_seeds_that_are_named_go_with_every_class():
    made = wanted(seeds="0,4-5", classes="2,0", output="a.npz")
    assert made.seeds.tolist() == [0, 4, 5] * 2 and made.labels.tolist() == [2] * 3 + [0] * 3
    beside = wanted(seeds="5", num_per_class=2)
    assert beside.seeds.tolist() == [5, 6] * 3 and beside.columns == 2


def test_images_in_all_are_balanced_and_any_part_of_them_nearly():
    made = wanted(num_images=300, output="a.npz", seeds="7")
    assert made.seeds.tolist() == list(range(7, 307))
    assert np.bincount(made.labels).tolist() == [100] * 3
    # As evaluators take fewer: every third image.
    assert np.bincount(made.labels[::3], minlength=3).min() > 20
    more = wanted(num_images=600, output="a.npz", seeds="7")
    np.testing.assert_array_equal(more.labels[:300], made.labels)


def test_a_mixture_is_one_row():
    made = wanted(class_mix="0:1,hen:3", num_per_class=4)
    assert made.labels is None and made.seeds.tolist() == [0, 1, 2, 3]
    assert made.conditions(0, 2).tolist() == [[0.25, 0, 0.75]] * 2
    assert made.row_labels == ("0 tench 25% + 2 hen 75%",)
    assert made.description["class_mix"] == {"0 tench": 0.25, "2 hen": 0.75}
    assert wanted(class_mix="0:1", num_images=12).columns == 10


def test_a_truncation_sheet_has_one_seed():
    assert wanted(truncations="0.5,1").seeds.tolist() == [0, 0, 0]
    assert wanted(truncations="0.5,1", seeds="4").seeds.tolist() == [4, 4, 4]


def test_without_classes_there_is_one_block():
    made = wanted(NONE)
    assert made.labels is None and made.conditions(0, 5) is None and made.row_labels is None
    assert made.seeds.tolist() == list(range(100)) and made.columns == 10
    assert "classes" not in made.description
    assert wanted(NONE, seeds="4,9").columns == 2


@pytest.mark.parametrize(
    "lookup, values, message",
    [
        (NONE, {"classes": "1"}, "A model without classes takes --num_images and --seeds alone"),
        (NONE, {"class_mix": "1:1"}, "A model without classes"),
        (NONE, {"num_per_class": 3}, "A model without classes"),
        (THREE, {"classes": "cat"}, "A class must be known"),
        (THREE, {"seeds": "1073741820", "num_images": 5}, "the last one too"),
        (THREE, {"seeds": "1073741820", "num_per_class": 2, "output": "a"}, "the last one too"),
    ],
)
def test_what_cannot_be_made(lookup, values, message):
    with pytest.raises(ValueError, match=message):
        wanted(lookup, **values)
