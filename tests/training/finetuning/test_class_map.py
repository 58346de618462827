"""Source classes of a new run's classes: maps as text and JSON, and rules without a map."""

from __future__ import annotations

import pytest

from tf_biggan.data.classes import ClassLookup, imagenet_classes
from tf_biggan.training.finetuning import initialization
from tf_biggan.training.finetuning.class_map import class_sources, describe_sources, read_class_map
from tf_biggan.training.finetuning.source_model import SourceModel, SourceNetwork

IMAGENET = ClassLookup(tuple(imagenet_classes().values()))
DIGITS = ClassLookup(tuple("0123456789"))
BIRDS = ClassLookup(("finch", "great_grey_owl", "wren"))


def nameless(count):
    return ClassLookup((), count)


def sources(text, new=BIRDS, source=IMAGENET):
    return class_sources(None if text is None else read_class_map(text), new, source)


TEXT = "finch = n01531178, house finch\n  # the owl has its name there\n*=fresh\n"
JSON = '{"finch": ["goldfinch", 12], "2": "fresh"}'


@pytest.mark.parametrize("text", [TEXT, JSON], ids=["text", "json"])
def test_a_file_and_the_same_map_on_the_command_line(text, tmp_path):
    path = tmp_path / "map"
    path.write_text(text)
    if text is TEXT:
        assert sources(str(path)) == ((11, 12), (), ())
    else:
        assert sources(str(path)) == sources(text) == ((11, 12), (24,), ())
    assert sources("finch=11,12; wren=fresh") == ((11, 12), (24,), ())


def test_one_several_all_or_fresh():
    received = sources("0-1=goldfinch; 2=0-2", BIRDS)
    assert received == ((11,), (11,), (0, 1, 2))
    assert sources("finch=all; wren=3", BIRDS, DIGITS_AND_OWL)[0] == tuple(range(11))
    assert sources("*=fresh; finch=7", BIRDS, DIGITS) == ((7,), (), ())
    assert describe_sources(((11, 12), (), (24,)), BIRDS, IMAGENET) == {
        "finch": "11 n01531178 goldfinch, Carduelis carduelis"
        " + 12 n01532829 house finch, linnet, Carpodacus mexicanus",
        "great_grey_owl": "fresh",
        "wren": "24 n01622779 great grey owl, great gray owl, Strix nebulosa",
    }
    many = describe_sources((tuple(range(8)),), nameless(1), DIGITS)
    assert many == {"0": "0 + 1 + 2 + 3 + 4 + 3 more"}
    assert describe_sources(((1,), ()), nameless(2), nameless(2)) == {"0": "1", "1": "fresh"}


DIGITS_AND_OWL = ClassLookup((*"0123456789", "great grey owl"))


def test_an_integer_in_json_is_an_index():
    sizes = ClassLookup(("1", "10", "2"))
    assert sources('{"0": 1, "1": "name:1"}', nameless(2), sizes) == ((1,), (0,))


def test_without_a_map_names_decide_and_then_the_order():
    assert sources(None, ClassLookup(("8", "3")), DIGITS) == ((8,), (3,))
    assert sources(None, ClassLookup(("n02123394", "daisy")), IMAGENET) == ((283,), (985,))
    assert sources(None, nameless(3), nameless(3)) == ((0,), (1,), (2,))
    assert sources(None, BIRDS, nameless(3)) == ((0,), (1,), (2,))
    assert sources(None, nameless(0), nameless(0)) == ()


@pytest.mark.parametrize(
    "new, source, message",
    [
        (
            BIRDS,
            IMAGENET,
            r"have no source class: 0 finch, 2 wren.*--class_map='finch=tench; \*=fresh'",
        ),
        (nameless(10), nameless(9), r"0, 1, 2, 3, 4, \.\.\.\. .*--class_map='0=0; \*=fresh'"),
        (
            BIRDS,
            nameless(1000),
            r"0 finch, 1 great_grey_owl.*one of the 1000 classes",
        ),
        (BIRDS, nameless(0), r"can start only from a model with classes"),
        (nameless(0), DIGITS, r"only from a model without classes.*source_classes=10"),
    ],
)
def test_what_cannot_be_known_is_asked_for_with_an_example(new, source, message):
    with pytest.raises(ValueError, match=message):
        sources(None, new, source)


@pytest.mark.parametrize(
    "text, message",
    [
        ("birds.txt", r"must be CLASS=SOURCE, .* no file .*Received: class_map='birds.txt'"),
        ("finch=goldfinch; wren", r"the form CLASS=SOURCE\. Received: entry='wren'"),
        ("finch=1; finch=2", r"two entries with the same left side"),
        ("finch=1; 0=2", r"two entries for the same class; keep one of them\. Received: entry='0'"),
        ('{"finch": 1, "finch": 2}', r"two entries with the same left side"),
        ('{"finch": 1', r"Cannot read the class map: it must be JSON"),
        ('{"finch": 1.5}', r"must be names or indices of classes of the source"),
        ("fnich=1", r"most similar names are finch \(0\)"),
        ("finch=gold finch", r"most similar names are goldfinch \(11\)"),
        ("finch=crane", r"134 n02012849"),
        ("finch=1000", r"from 0 to 999"),
        ("wren=fresh", r"have no source class: 0 finch"),
        ("finch=", r"at least one class"),
    ],
)
def test_maps_that_name_nothing_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        sources(text)


def test_files_of_other_editors(tmp_path):
    path = tmp_path / "map"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes("wren=fresh\r\n*=goldfinch\r\n".encode(encoding))
        assert read_class_map(str(path)) == {"wren": "fresh", "*": "goldfinch"}
    path.write_bytes("zaunkönig=fresh\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"class map .*map': byte 0xf6 in line 1 is not UTF-8"):
        read_class_map(str(path))


def test_a_run_of_more_classes_than_its_data_does_not_take_the_named_ones_in_order():
    source = ClassLookup(("wren", "owl", "ant"))
    new = initialization._lookup(("ant",), 3)
    assert new.class_names == ("ant", "unnamed 1", "unnamed 2")
    with pytest.raises(ValueError, match="have no source class: 1 unnamed 1, 2 unnamed 2"):
        class_sources(None, new, source)
    assert class_sources({"*": "fresh"}, new, source) == ((), (), ())
    assert class_sources({"unnamed 1,unnamed 2": "fresh"}, new, source) == ((2,), (), ())


@pytest.mark.parametrize(
    "names, entries, by_index",
    [((), None, True), (("bee", "ant"), None, False), ((), {"*": "fresh"}, False)],
)
def test_classes_that_are_taken_in_order_are_told(names, entries, by_index):
    source = SourceModel({}, SourceNetwork({"num_classes": 2}, {}), None, names)
    made = initialization._initialization(source, 2, ("ant", "bee"), entries)
    assert made.by_index == by_index
