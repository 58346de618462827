"""Settings of the sample command: kinds of output, and flags that exclude each other."""

from __future__ import annotations

import pytest

from tf_biggan.cli.sample_settings import ANIMATION, ARCHIVE, FOLDER, SHEET, SampleConfig


def config(**values):
    return SampleConfig(model="m", **values)


@pytest.mark.parametrize(
    "values, kind, path",
    [
        ({}, SHEET, "samples.png"),
        ({"output": "A.PNG"}, SHEET, "A.PNG"),
        ({"output": "a.npz"}, ARCHIVE, "a.npz"),
        ({"output": "samples"}, FOLDER, "samples"),
        ({"output": "v1.0/"}, FOLDER, "v1.0/"),
        ({"truncations": "0.5,1"}, SHEET, "truncations.png"),
        ({"progress": True}, ANIMATION, "progress.gif"),
        ({"progress": True, "output": "a.webp"}, ANIMATION, "a.webp"),
    ],
)
def test_outputs(values, kind, path):
    made = config(**values)
    assert (made.output_kind(), made.output_path()) == (kind, path)


def test_a_folder_that_is_there_may_have_a_dot(tmp_path):
    (tmp_path / "v1.0").mkdir()
    assert config(output=str(tmp_path / "v1.0")).output_kind() == FOLDER


def test_truncations():
    assert config().truncation_columns() is None
    assert config(truncations="0.02, 1").truncation_columns() == (0.02, 1.0)
    assert config(truncations="3", truncation_mode="resample").truncation_columns() == (3.0,)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"output": "a.jpg"}, r"must end in \.png or \.npz, or be a folder"),
        ({"output": "a.gif"}, "must end in"),
        ({"progress": True, "output": "a.png"}, r"must end in \.gif, \.webp, \.mp4"),
        ({"truncations": "0.5", "output": "a.npz"}, r"must end in \.png, because it is a sheet"),
        ({"truncations": "0.5,2"}, "at most 1. Received: truncations=\\(0.5, 2.0\\)"),
        ({"truncations": "0,1"}, "above 0"),
        ({"truncations": "nan"}, "must be numbers separated by commas"),
        ({"truncations": "a,b"}, "must be numbers separated by commas"),
        ({"truncations": "0.5", "seeds": "0-3"}, "`seeds` must be one number"),
        ({"truncations": "0.5", "truncation": "0.5"}, "no effect with --truncations"),
        ({"progress": True, "iteration": 3}, "no effect with --progress"),
        ({"num_images": 3, "num_per_class": 2}, "no effect with --num_images"),
        ({"classes": "1", "class_mix": "1:1"}, "no effect with --classes"),
        ({"num_images": 3, "seeds": "1,2"}, "`seeds` must be one number"),
        ({"seconds_per_frame": 0.5}, "no effect without --progress"),
        ({"seeds": "9-4"}, "begin with its smaller number"),
        ({"truncation": "0"}, "must be above 0"),
        ({"truncation": "5"}, "at most 1"),
        ({"truncation": "nan"}, "must be a number. Received: truncation='nan'"),
    ],
)
def test_what_has_no_meaning(values, message):
    with pytest.raises(ValueError, match=message):
        config(**values)
