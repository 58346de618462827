"""End points of interpolations from text, from files and at random."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.data.classes import ClassLookup, imagenet_classes
from tf_biggan.generation.interpolation_paths import (
    EndPoint,
    parse_end_points,
    point_name,
    random_routes,
)
from tf_biggan.generation.inversion import InvertedImage, write_inverted

IMAGENET = ClassLookup(tuple(imagenet_classes().values()))
NUMBERED = ClassLookup((), 10)
UNCONDITIONAL = ClassLookup((), 0)


def test_names_indices_ids_and_names_with_commas():
    points = parse_end_points("tench, Tinca tinca@3,goldfish@5, 7@0 ,n01440764@2", IMAGENET)
    assert [(point.label, point.seed) for point in points] == [(0, 3), (1, 5), (7, 0), (0, 2)]


def test_points_without_classes_and_from_files(tmp_path):
    path = str(tmp_path / "face.npz")
    write_inverted(path, InvertedImage(np.ones(4), None, None, 1.0, 30.0, {"model": "m"}))
    first, second = parse_end_points(f"@3,{path}", UNCONDITIONAL)
    assert (first.label, first.seed) == (None, 3)
    assert second.file[0] == path and second.file[1].description == {"model": "m"}
    assert point_name(second, second, UNCONDITIONAL) == "face.npz"
    assert point_name(second, first, UNCONDITIONAL) == "face.npz@3"


FAULTS = {
    "3@0": "`endpoints` must name at least two end points",
    "3@0,4": r"end point must be class@seed.*endpoints='4'",
    "3@0,cat@1": "give an index from 0 to 9",
    "3@0,10@1": "must be from 0 to 9",
    "3@0,all@1": "must name exactly one class before @",
    "3@0,4@7-2": "begin with its smaller number",
    "3@0,4@1-2": "must have exactly one seed after @",
    "3@0,4@-1": "whole numbers",
    "3@0,4@1073741824": "must be from 0 to 1073741823",
    "3@0,@4": "must have the form class@seed. Received",
    "3@0,nothing.npz": "does not exist",
}


@pytest.mark.parametrize("text", FAULTS)
def test_wrong_points_are_refused(text):
    with pytest.raises(ValueError, match=FAULTS[text]):
        parse_end_points(text, NUMBERED)


def test_a_model_without_classes_refuses_some():
    with pytest.raises(
        ValueError, match="must have the form @seed, because this model has no classes"
    ):
        parse_end_points("@1,3@2", UNCONDITIONAL)


def test_a_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", z=np.ones(3), description="no JSON")
    with pytest.raises(ValueError, match="must be a file that `invert` wrote"):
        parse_end_points(f"3@0,{tmp_path}/a.npz", NUMBERED)


def test_random_rows_do_not_depend_on_other_rows():
    rows = random_routes(6, 10)
    assert rows[:3] == random_routes(3, 10)
    assert [point.seed for row in rows for point in row] == list(range(12))
    assert all(start.label != end.label for start, end in rows)
    assert all(0 <= point.label < 10 for row in rows for point in row)
    assert len({row[0].label for row in random_routes(50, 10)}) == 10


def test_classes_and_seeds_come_in_turn():
    assert random_routes(2, 10, [1, 2, 3], [7, 8, 9, 5]) == (
        (EndPoint(1, 7), EndPoint(2, 8)),
        (EndPoint(3, 9), EndPoint(1, 5)),
    )
    assert random_routes(2, 10, [1, 2, 3], [7, 8], fix_z=True) == (
        (EndPoint(1, 7), EndPoint(2, 7)),
        (EndPoint(3, 8), EndPoint(1, 8)),
    )
    assert random_routes(3, 10, [1, 2], None, fix_y=True) == (
        (EndPoint(1, 0), EndPoint(1, 1)),
        (EndPoint(2, 2), EndPoint(2, 3)),
        (EndPoint(1, 4), EndPoint(1, 5)),
    )
    assert random_routes(1, 0) == ((EndPoint(None, 0), EndPoint(None, 1)),)
    assert random_routes(1, 1)[0][1].label == 0
    with pytest.raises(ValueError, match="`seeds` must be 4, which is 2 for each row"):
        random_routes(2, 10, None, [1, 2, 3])
    for most, fix_y in ((4, False), (2, True)):
        random_routes(2, 10, range(most), None, fix_y=fix_y)
        with pytest.raises(ValueError, match=f"`classes` must be at most {most}, which is"):
            random_routes(2, 10, range(most + 1), None, fix_y=fix_y)
    assert random_routes(1, 10, range(10)) == random_routes(1, 10, [0, 1])
