"""metrics.jsonl across interruptions, and TensorBoard's event files."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_biggan.training.logs import MetricsLog, TensorBoardLog, read_metrics


def written(run_dir, iterations):
    log = MetricsLog(str(run_dir))
    for iteration in iterations:
        log.write(iteration, {"loss/d_real": iteration / 4})
    log.close()
    return run_dir / "metrics.jsonl"


def test_lines_are_objects_and_there_at_once(tmp_path):
    log = MetricsLog(str(tmp_path / "new" / "run"))
    log.write(np.int64(3), {"g": np.float32(0.5), "n": 2, "bad": float("nan"), "inf": np.inf})
    text = (tmp_path / "new/run/metrics.jsonl").read_text()
    assert text == '{"iteration": 3, "g": 0.5, "n": 2, "bad": null, "inf": null}\n'


@pytest.mark.parametrize(("iteration", "kept"), [(0, []), (20, [10, 20]), (25, [10, 20])])
def test_resuming_drops_what_came_after_the_checkpoint(tmp_path, iteration, kept):
    path = written(tmp_path, [10, 20, 30])
    log = MetricsLog(str(tmp_path), iteration=iteration)
    assert [json.loads(line)["iteration"] for line in path.read_text().splitlines()] == kept
    log.write(26, {})
    assert [entry["iteration"] for entry in read_metrics(str(tmp_path))] == [*kept, 26]
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("cut", range(1, 33))
def test_a_line_that_was_cut_off_is_dropped(tmp_path, cut):
    path = written(tmp_path, [10, 20])
    whole = path.read_text()
    path.write_text(whole[:-cut])
    log = MetricsLog(str(tmp_path), iteration=20)
    log.write(20, {"loss/d_real": 5.0})
    # The last line is complete except for its line end.
    lost = ([20] if cut == 1 else []) + [20]
    assert [entry["iteration"] for entry in read_metrics(str(tmp_path))] == [10, *lost]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_log_that_is_complete_is_not_rewritten(tmp_path):
    path = written(tmp_path, [10, 20])
    before = path.stat().st_ino
    MetricsLog(str(tmp_path), iteration=20).close()
    assert path.stat().st_ino == before and len(path.read_text().splitlines()) == 2


def test_no_metrics_where_there_is_no_run(tmp_path):
    assert read_metrics(str(tmp_path)) == []


def events_of(run_dir):
    files = sorted((run_dir / "tensorboard").glob("events.out.tfevents.*"))
    for record in tf.data.TFRecordDataset([str(file) for file in files]):
        yield tf.compat.v1.Event.FromString(record.numpy())


def test_events_are_those_that_tensorboard_reads(tmp_path):
    log = TensorBoardLog(str(tmp_path), iteration=40)
    log.scalars(50, {"loss/g": 0.25, "loss/d": np.float64(-1.5)})
    image = Image.fromarray(np.arange(18, dtype=np.uint8).reshape(2, 3, 3))
    log.image(60, "samples", image)
    version, start, scalars, images = events_of(tmp_path)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (41, tf.compat.v1.SessionLog.START)
    assert scalars.step == 50 and images.step == 60
    values = {value.tag: value for value in scalars.summary.value}
    assert {tag: tf.make_ndarray(v.tensor).item() for tag, v in values.items()} == {
        "loss/g": 0.25,
        "loss/d": -1.5,
    }
    for value in values.values():
        assert value.metadata.plugin_data.plugin_name == "scalars"
        assert value.metadata.data_class == 1
    (value,) = images.summary.value
    assert (value.tag, value.metadata.plugin_data.plugin_name) == ("samples", "images")
    assert value.metadata.data_class == 3
    width, height, png = tf.make_ndarray(value.tensor)
    assert (width, height) == (b"3", b"2")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), np.asarray(image))


def test_every_process_has_a_file_and_they_read_in_order(tmp_path):
    for iteration in range(3):
        TensorBoardLog(str(tmp_path), iteration=iteration).close()
    starts = [event.step for event in events_of(tmp_path) if event.HasField("session_log")]
    assert starts == [1, 2, 3]


def test_events_need_no_tensorboard(tmp_path):
    code = (
        "import sys\nsys.modules['tensorboard'] = None\n"
        "from tf_biggan.training.logs import TensorBoardLog\n"
        f"TensorBoardLog({str(tmp_path)!r}).scalars(1, {{'a': 1.0}})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len(list(events_of(tmp_path))) == 3
