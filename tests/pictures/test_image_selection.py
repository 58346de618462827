"""The seed and the class of every image."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.cli.sample_settings import ANIMATION, SHEET, SampleConfig
from tf_biggan.data.classes import ClassLookup
from tf_biggan.pictures.image_selection import mix_weights, parse_class_mix, selected_images

THREE = ClassLookup(("tench, Tinca tinca", "7", "hen"))
MANY, NONE = ClassLookup((), 1000), ClassLookup((), 0)


def selected(lookup=THREE, **values):
    config = SampleConfig(model="m", **values)
    return selected_images(config, lookup, config.output_kind() in (SHEET, ANIMATION))


def test_rows_of_a_sheet_share_their_seeds():
    made = selected()
    assert made.seeds.reshape(3, 10).tolist() == [list(range(10))] * 3
    assert made.labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10 and made.columns == 10
    assert made.row_labels == ("0 tench", "1 7", "2 hen")
    assert made.description["seeds"] == "0-9" and made.conditions(9, 12).tolist() == [0, 1, 1]
    assert made.description["classes"][0].startswith("0 n01440764 tench")


def test_many_classes_are_shown_in_ten_rows_and_written_whole():
    assert selected(MANY).labels[::10].tolist() == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]
    assert len(np.unique(selected(MANY, output="a.npz").labels)) == 1000
    assert selected(MANY, classes="all").description == {"classes": "0-999", "seeds": "0-9"}


@pytest.mark.parametrize("output", ["a.npz", "a"])
def test_images_of_a_set_have_seeds_of_their_own(output):
    made = selected(num_per_class=4, seeds="100", classes="hen,0", output=output)
    assert made.labels.tolist() == [2] * 4 + [0] * 4
    assert made.seeds.tolist() == list(range(100, 108)) and made.description["seeds"] == "100-107"


def test_seeds_that_are_named_go_with_every_class():
    made = selected(seeds="0,4-5", classes="2,0", output="a.npz")
    assert made.seeds.tolist() == [0, 4, 5] * 2 and made.labels.tolist() == [2] * 3 + [0] * 3
    beside = selected(seeds="5", num_per_class=2)
    assert beside.seeds.tolist() == [5, 6] * 3 and beside.columns == 2


def test_images_in_all_are_balanced_and_any_part_of_them_nearly():
    made = selected(num_images=300, output="a.npz", seeds="7")
    assert made.seeds.tolist() == list(range(7, 307))
    assert np.bincount(made.labels).tolist() == [100] * 3
    # Evaluators that need fewer images take, for example, every third one.
    assert np.bincount(made.labels[::3], minlength=3).min() > 20
    more = selected(num_images=600, output="a.npz", seeds="7")
    np.testing.assert_array_equal(more.labels[:300], made.labels)


def test_a_mixture_is_one_row():
    made = selected(class_mix="0:1,hen:3", num_per_class=4)
    assert made.labels is None and made.seeds.tolist() == [0, 1, 2, 3]
    assert made.conditions(0, 2).tolist() == [[0.25, 0, 0.75]] * 2
    assert made.row_labels == ("0 tench 25% + 2 hen 75%",)
    assert made.description["class_mix"] == {"0 tench": 0.25, "2 hen": 0.75}
    assert selected(class_mix="0:1", num_images=12).columns == 10


def test_a_truncation_sheet_has_one_seed():
    assert selected(truncations="0.5,1").seeds.tolist() == [0, 0, 0]
    assert selected(truncations="0.5,1", seeds="4").seeds.tolist() == [4, 4, 4]


def test_without_classes_there_is_one_block():
    made = selected(NONE)
    assert made.labels is None and made.conditions(0, 5) is None and made.row_labels is None
    assert made.seeds.tolist() == list(range(100)) and made.columns == 10
    assert "classes" not in made.description
    assert selected(NONE, seeds="4,9").columns == 2


@pytest.mark.parametrize(
    "lookup, values, message",
    [
        (NONE, {"classes": "1"}, "This model has no classes; leave out these flags"),
        (NONE, {"class_mix": "1:1"}, "This model has no classes"),
        (NONE, {"num_per_class": 3}, "This model has no classes"),
        (THREE, {"classes": "cat"}, "No class has this name"),
        (THREE, {"seeds": "1073741820", "num_images": 5}, "use a smaller first seed"),
        (
            THREE,
            {"seeds": "1073741820", "num_per_class": 2, "output": "a"},
            "use a smaller first seed",
        ),
    ],
)
def test_what_cannot_be_made(lookup, values, message):
    with pytest.raises(ValueError, match=message):
        selected(lookup, **values)


LOOKUP = ClassLookup(("tench, Tinca tinca", "goldfish", "a:b"))


@pytest.mark.parametrize(
    "text, weights",
    [
        ("tench:0.5,goldfish:0.5", {0: 0.5, 1: 0.5}),
        ("goldfish:3, index:0 : 1", {1: 0.75, 0: 0.25}),
        ("tench, Tinca tinca:1,a:b:1e0", {0: 0.5, 2: 0.5}),
        ("2:7", {2: 1.0}),
    ],
)
def test_mixtures(text, weights):
    mix = parse_class_mix(text, LOOKUP)
    assert mix == weights and list(mix) == list(weights)


@pytest.mark.parametrize(
    "text, message",
    [
        ("tench", "must be classes with weights above 0, such as tench:0.5"),
        ("", "must be classes with weights"),
        ("tench:0.5,goldfish", "must be classes with weights"),
        ("tench,goldfish:1", "give every class its own weight"),
        ("tench:0", "weights above 0"),
        ("tench:-1", "weights above 0"),
        ("tench:nan", "weights above 0"),
        ("tench:inf", "weights above 0"),
        ("tench:1,0:1", "must not name a class twice"),
        ("bird:1", "No class has this name"),
    ],
)
def test_what_is_no_mixture(text, message):
    with pytest.raises(ValueError, match=message):
        parse_class_mix(text, LOOKUP)


def test_weights():
    weights = mix_weights({3: 0.25, 0: 0.75}, 4)
    assert weights.dtype == np.float32 and weights.tolist() == [0.75, 0, 0, 0.25]
