"""Settings of an export are checked when they are created."""

from __future__ import annotations

import pytest

from tf_biggan.cli.export_settings import ExportConfig

REFUSED = {
    "nothing": ({}, "exactly one of --output"),
    "two": (dict(output="a", model="m", describe="b"), "exactly one of --output"),
    "no model": (dict(output="a"), "--model together with --output"),
    "no output": (dict(model="m", describe="a"), "--model together with --output"),
    "nothing to push": (dict(push_to="hf://a/b"), "--model together with --output or --push_to"),
    "one row": (dict(model="m", output="a", truncation_grid="1"), "rows from 2 to 1001"),
    "a flag of SavedModels": (
        dict(model="m", output="a", format="onnx", compute_dtype="bfloat16"),
        "--compute_dtype has no effect on this format.*--format=saved_model",
    ),
    "a flag of prepared generators": (
        dict(model="m", output="a", format="keras", truncation_grid="none"),
        "--truncation_grid has no effect.*saved_model or onnx or tflite",
    ),
    "a flag of TFLite": (
        dict(model="m", output="a", tflite_type="float16"),
        "--tflite_type has no effect.*--format=tflite",
    ),
    "words": (dict(model="m", output="a", truncation_grid="fine"), "auto, none or a number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_are_refused(case):
    values, message = REFUSED[case]
    with pytest.raises(ValueError, match=f"(?i){message}"):
        ExportConfig(**values)


def test_rows_of_the_table_and_of_a_request():
    config = ExportConfig(model="m", output="o")
    assert config.table_rows() is None
    assert [config.batch_limit((side, side)) for side in (32, 128, 512, 1024)] == [1024, 256, 16, 8]
    config = ExportConfig(model="m", output="o", truncation_grid="none", max_batch=3)
    assert config.table_rows() == 1 and config.batch_limit((512, 512)) == 3
    assert ExportConfig(model="m", output="o", truncation_grid="11").table_rows() == 11


def test_batches_of_standing_statistics_follow_the_size_of_images():
    config = ExportConfig(model="m", output="o")
    sizes = {side: config.standing_sizes((side, side)) for side in (32, 128, 256, 512)}
    assert sizes == {32: (16, 32), 128: (16, 32), 256: (43, 12), 512: (128, 4)}
    config = ExportConfig(model="m", output="o", standing_batches=3, standing_batch_size=5)
    assert config.standing_sizes((256, 256)) == (3, 5)
