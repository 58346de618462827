"""ImageNet's names, and finding classes by name, WordNet ID or index."""

from __future__ import annotations

import hashlib
import pathlib

import pytest
import tensorflow_datasets as tfds

from tf_biggan.data.classes import (
    ClassLookup,
    complete_names,
    imagenet_classes,
    match_classes,
    name_differences,
    parse_classes,
)

NAMES = tuple(imagenet_classes().values())
DIGITS = tuple("0123456789")
LABELS = pathlib.Path(tfds.__file__).parent / "datasets" / "imagenet2012" / "labels.txt"
# SHA-256 of torchvision.models._meta._IMAGENET_CATEGORIES (0.29.1) in lower case, one per line. The
# names "crane bird" and "maillot tank suit" there are shortened to their first lemma.
TORCHVISION = "221f7849f5908b778db7307b706ddb587a17dcfe0a0f7ff7810bee8e42810e2d"


def test_imagenet_is_in_the_order_that_tensorflow_datasets_has():
    assert list(imagenet_classes()) == LABELS.read_text().split()
    assert len(set(NAMES)) == 1000


@pytest.mark.parametrize(
    "index, identifier, name",
    [
        (0, "n01440764", "tench"),
        (1, "n01443537", "goldfish"),
        (134, "n02012849", "crane"),
        (207, "n02099601", "golden retriever"),
        (281, "n02123045", "tabby"),
        (282, "n02123159", "tiger cat"),
        (283, "n02123394", "Persian cat"),
        (388, "n02510455", "giant panda"),
        (517, "n03126707", "crane"),
        (638, "n03710637", "maillot"),
        (639, "n03710721", "maillot"),
        (985, "n11939491", "daisy"),
        (999, "n15075141", "toilet tissue"),
    ],
)
def test_well_known_classes_of_imagenet(index, identifier, name):
    assert list(imagenet_classes())[index] == identifier
    assert NAMES[index].split(", ")[0] == name


def test_first_names_are_those_of_torchvision():
    first = "\n".join(name.split(", ")[0].lower() for name in NAMES)
    assert hashlib.sha256(first.encode()).hexdigest() == TORCHVISION


def test_a_list_of_every_kind_keeps_its_order():
    assert parse_classes("tench,golden retriever,n02123394,7", NAMES) == (0, 207, 283, 7)
    assert parse_classes("Tinca tinca, GOLDEN_retriever ,daisy,3-5,3,", NAMES) == (
        (0, 207, 985) + (3, 4, 5, 3)
    )
    assert parse_classes("all", (), 4) == (0, 1, 2, 3)
    assert parse_classes("2,0-1", (), 4) == (2, 0, 1)


def test_a_whole_name_goes_before_a_part_of_one():
    assert parse_classes("missile,projectile", NAMES) == (657, 744)
    assert parse_classes("tank suit,maillot,cardigan", NAMES) == (639, 638, 474)
    assert parse_classes("maillot, tank suit", NAMES) == (639,)
    assert parse_classes("tench, Tinca tinca,daisy", NAMES) == (0, 985)
    assert parse_classes("crane bird,crane machine", NAMES) == (134, 517)
    assert parse_classes("cat,Cat", ("Cat", "cat")) == (1, 0)


def test_models_whose_names_are_wordnet_ids_know_imagenets_names():
    assert parse_classes("daisy,n01440764", ("n01440764", "n11939491")) == (1, 0)
    lookup = ClassLookup(("n01440764", "mine"))
    assert lookup.label(0) == "0 n01440764 tench, Tinca tinca"
    assert lookup.label(1) == "1 mine"
    assert ClassLookup((), 5).label(3) == "3"


def test_numbers_that_are_names():
    assert parse_classes("7,2-4", DIGITS) == (7, 2, 3, 4)
    sizes = ("1", "10", "2", "9-12")
    assert parse_classes("10,2,9-12,index:1,name:1", sizes) == (1, 2, 3, 1, 0)
    with pytest.raises(ValueError, match="write index:1 for the index or name:1 for"):
        parse_classes("1", sizes)


NUMBERED = ("1", "10", "11", "12", "2")


@pytest.mark.parametrize("text", ["1-3", "2", "2-2", "0-4", "1 - 2", "0,1-3"])
def test_numbers_that_mean_two_classes_are_refused_alone_and_in_ranges(text):
    with pytest.raises(
        ValueError, match=r"is the index of class '1[01]' and also the name of the class"
    ):
        parse_classes(text, NUMBERED)


def test_ranges_of_one_meaning_and_ranges_of_indices_are_taken():
    assert parse_classes("index:1-3,0-0,3-4,12", NUMBERED) == (1, 2, 3, 0, 3, 4, 3)
    assert parse_classes("0-9", DIGITS) == tuple(range(10))
    assert parse_classes("3-5", NAMES) == (3, 4, 5)
    with pytest.raises(ValueError, match="index:1-2 for the index or name:01 for"):
        parse_classes("1-2", ("01", "02", "03"))
    with pytest.raises(
        ValueError, match="index of class '02' and also the name of the class with inde"
    ):
        parse_classes("1", ("01", "02", "03"))


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "cat",
            r"names are .*tabby cat \(281\).*tiger cat \(282\).*Received: classes='cat'",
        ),
        ("golden retreiver", r"most similar names are golden retriever \(207\)"),
        ("n02123395", r"most similar names are n0212339"),
        (
            "crane",
            r"one of them: 134 n02012849 crane, crane bird; 517 n03126707 crane, crane machine",
        ),
        ("panther", r"give the index or WordNet ID of one of them: 286 .*; 290 "),
        ("xyzzyq", r"No class has this name; the first classes are tench"),
        ("1000", r"indices must be from 0 to 999\. Received: classes='1000'"),
        ("-1", r"from 0 to 999"),
        ("index:x", r"from 0 to 999"),
        ("name:7", r"No class has this name"),
        ("7-3", r"begin with its smaller index, and both indices must be from 0 to 999"),
        ("990-1000", r"begin with its smaller index, and both indices must be from 0 to 999"),
        (" , ", r"must name at least one class"),
    ],
)
def test_what_names_no_class_is_refused_with_what_would(text, message):
    with pytest.raises(ValueError, match=message):
        parse_classes(text, NAMES)


def test_models_without_names_have_indices():
    with pytest.raises(ValueError, match=r"has no class names; give an index from 0 to 9.*'daisy'"):
        parse_classes("daisy", (), 10)
    with pytest.raises(ValueError, match="one name for each class, or be empty"):
        parse_classes("0", ("a", "b"), 3)


@pytest.mark.parametrize(
    "names, others, expected",
    [
        (("ant", "bee"), ("ant", "bee"), (0, 1)),
        (("ant", "bee"), ("bee", "ant"), (1, 0)),
        (("ant", "bee", "cow"), ("cow", "Ant"), (1, -1, 0)),
        (("ant", "bee"), ("bee", "zebra"), (-1, 0)),
        (("tench, Tinca tinca", "kite"), ("n01608432", "tench"), (1, 0)),
        (("n01608432", "tench"), ("tench, Tinca tinca", "kite"), (1, 0)),
        (("crane", "crane"), ("crane", "ant"), (-1, -1)),  # The name belongs to two classes.
        (("crane", "crane"), ("crane", "crane"), (0, 1)),
        (NAMES, NAMES[::-1], tuple(range(999, -1, -1))),
        (NAMES, tuple(imagenet_classes()), tuple(range(1000))),
    ],
)
def test_classes_of_two_sources_are_matched_by_name(names, others, expected):
    assert match_classes(names, others) == expected


def test_names_that_one_source_alone_has_are_listed():
    assert name_differences(("ant", "bee"), ("bee", "ant"), "a", "b") is None
    assert name_differences(("ant", "bee"), ("bee", "zebra"), "the run", "the data") == (
        "only in the run: 'ant'; only in the data: 'zebra'"
    )
    assert name_differences(DIGITS, ("0",), "a", "b") == (
        "only in a: '1', '2', '3', '4', '5' and 4 more"
    )


def test_names_of_a_model_of_other_classes_than_its_data():
    assert complete_names(("ant", "bee"), 4) == ("ant", "bee", "unnamed 2", "unnamed 3")
    assert complete_names(("ant", "bee"), 1) == ("ant",)
    assert complete_names(("ant", "bee"), 0) == complete_names((), 4) == ()
