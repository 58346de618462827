"""Preparation: exact pixels, resuming, refusal of other settings, and the command."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.data import tfrecord_writer as prepare_module
from tf_biggan.data.decoding import crop_and_resize, naming_unreadable
from tf_biggan.data.pipeline import make_dataset
from tf_biggan.data.schemes import open_source
from tf_biggan.data.tfrecord_writer import write_tfrecords

SIDE = 8


@pytest.fixture(scope="module")
def source(image_folder):
    return open_source(f"folder:{image_folder}")


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tf_biggan.prepare", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )


def hashes(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_records_give_the_batches_of_the_folder(source, tmp_path):
    write_tfrecords(source, str(tmp_path), image_size=SIDE, num_shards=4)
    records = open_source(f"tfrecord:{tmp_path}")
    assert records.class_names == source.class_names
    np.testing.assert_array_equal(records.labels, source.labels)
    for cache in (True, False):
        arguments = dict(image_size=SIDE, image_channels=3, batch_size=21, seed=4, cache=cache)
        expected = next(make_dataset(source, **arguments).as_numpy_iterator())
        got = next(make_dataset(records, **arguments).as_numpy_iterator())
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])


def test_description_tells_how_the_records_were_made(source, tmp_path):
    returned = write_tfrecords(
        source, str(tmp_path), image_size=(8, 6), image_channels=1, num_shards=2
    )
    stored = json.loads((tmp_path / "dataset.json").read_text())
    assert stored == returned
    assert (stored["image_height"], stored["image_width"], stored["image_channels"]) == (8, 6, 1)
    assert (stored["num_images"], stored["num_classes"]) == (21, 3)
    assert (stored["class_names"], stored["label_counts"]) == (["ant", "bee", "cow"], [7, 7, 7])
    assert "antialiased" in stored["resize"] and "central" in stored["crop"]
    assert {file.name for file in tmp_path.iterdir()} == {
        "dataset.json",
        "index.npz",
        "images-00000-of-00002.tfrecord",
        "images-00001-of-00002.tfrecord",
    }


def test_records_are_plain_examples_of_png_files(source, tmp_path, folder_pixels):
    write_tfrecords(source, str(tmp_path), image_size=12, num_shards=3)
    files = sorted(str(file) for file in tmp_path.glob("*.tfrecord"))
    for index, record in enumerate(tf.data.TFRecordDataset(files).as_numpy_iterator()):
        features = tf.train.Example.FromString(record).features.feature
        assert features["label"].int64_list.value[0] == index // 7
        contents = features["image"].bytes_list.value[0]
        assert contents.startswith(b"\x89PNG")
        np.testing.assert_array_equal(tf.io.decode_png(contents), folder_pixels[index])


@pytest.mark.parametrize(
    "image_channels",
    [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 4],
)
def test_channels_survive_the_round_trip(source, tmp_path, image_channels):
    write_tfrecords(source, str(tmp_path), image_size=SIDE, image_channels=image_channels)
    records = open_source(f"tfrecord:{tmp_path}")
    index = tf.constant(3, tf.int64)
    loaded = source.load(index, image_channels)
    expected = crop_and_resize(loaded, SIDE, SIDE)
    np.testing.assert_array_equal(records.load(index, image_channels), expected)


def test_jpeg_is_smaller_and_close(tmp_path):
    digits = open_source("digits")
    for image_format in ("png", "jpeg"):
        output = str(tmp_path / image_format)
        write_tfrecords(digits, output, image_size=32, image_channels=1, image_format=image_format)
    png, jpeg = (open_source(f"tfrecord:{tmp_path}/{kind}") for kind in ("png", "jpeg"))
    index = tf.constant(9, tf.int64)
    difference = png.load(index, 1).numpy().astype(int) - jpeg.load(index, 1).numpy()
    assert 0 < np.abs(difference).mean() < 4


def test_an_interrupted_preparation_goes_on(source, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = write_tfrecords(source, str(whole), image_size=SIDE, num_shards=4)
    real, written = prepare_module.tfrecord.serialize, []

    def interrupted(contents, label):
        if len(written) == 13:
            raise KeyboardInterrupt
        written.append(label)
        return real(contents, label)

    monkeypatch.setattr(prepare_module.tfrecord, "serialize", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_tfrecords(source, str(broken), image_size=SIDE, num_shards=4)
    kept = hashes(broken)
    assert sorted(kept) == [
        "images-00000-of-00004.tfrecord",
        "images-00001-of-00004.tfrecord",
        "unfinished.json",
    ]
    with pytest.raises(ValueError, match="that `prepare` finished"):
        open_source(f"tfrecord:{broken}")
    times = {file.name: file.stat().st_mtime_ns for file in broken.glob("*.tfrecord")}
    monkeypatch.setattr(prepare_module.tfrecord, "serialize", real)
    assert write_tfrecords(source, str(broken), image_size=SIDE, num_shards=4) == expected
    assert hashes(broken) == hashes(whole)
    for name, written_at in times.items():
        assert (broken / name).stat().st_mtime_ns == written_at


def test_the_content_hash_is_that_of_the_images_not_of_the_shards(source, tmp_path):
    described = [
        write_tfrecords(source, str(tmp_path / str(count)), image_size=SIDE, num_shards=count)
        for count in (1, 3)
    ]
    assert described[0]["content_sha256"] == described[1]["content_sha256"]
    other = write_tfrecords(source, str(tmp_path / "other"), image_size=SIDE + 1)
    assert other["content_sha256"] != described[0]["content_sha256"]


def test_a_finished_folder_is_left_alone(source, tmp_path):
    first = write_tfrecords(source, str(tmp_path), image_size=SIDE)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert write_tfrecords(source, str(tmp_path), image_size=SIDE) == first
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


class Killed(BaseException):
    """Ends the command like a kill: nothing after it runs, not even code that cleans up."""


class Files:
    """Replaces the functions that change files, and ends the process at a chosen moment.

    Moments are counted before each change, and after a file was opened and is still empty.
    """

    def __init__(self, monkeypatch, last):
        self.moments, self._last = 0, last
        self._open = tf.io.gfile.GFile
        for name in ("makedirs", "rename", "remove"):
            monkeypatch.setattr(tf.io.gfile, name, self.step(getattr(tf.io.gfile, name)))
        monkeypatch.setattr(tf.io.gfile, "GFile", self.opened)
        monkeypatch.setattr(tf.io, "TFRecordWriter", self.step(tf.io.TFRecordWriter, opens=True))

    def step(self, change, opens=False):
        def stepped(*args, **kwargs):
            self.tick()
            result = change(*args, **kwargs)
            if opens:
                self.tick()
            return result

        return stepped

    def tick(self):
        if self.moments >= self._last:
            raise Killed
        self.moments += 1

    def opened(self, path, mode):
        reads = mode in ("r", "rb")
        return (self._open if reads else self.step(self._open, opens=True))(path, mode)


def test_preparing_goes_on_from_any_moment_at_which_it_was_killed(tmp_path, monkeypatch):
    source = open_source("digits")
    # Two images are encoded once, because encoding takes most of the time.
    source.labels = source.labels[:2]
    encoded = tf.data.Dataset.from_tensor_slices([b"one", b"two"])
    monkeypatch.setattr(prepare_module, "_encoded", lambda *_: encoded)
    settings = dict(image_size=2, image_channels=1, num_shards=1)
    expected = write_tfrecords(source, str(tmp_path / "whole"), **settings)
    whole, moment, alive = hashes(tmp_path / "whole"), 0, False
    while not alive:
        output = tmp_path / str(moment)
        with pytest.MonkeyPatch.context() as patched:
            files = Files(patched, moment)
            try:
                write_tfrecords(source, str(output), **settings)
                alive = True
            except Killed:
                pass
        assert write_tfrecords(source, str(output), **settings) == expected, moment
        assert hashes(output) == whole, moment
        moment += 1
    assert files.moments == moment - 1 > 12


def test_what_a_finished_folder_has_lost_is_written_again(source, tmp_path):
    write_tfrecords(source, str(tmp_path), image_size=SIDE, num_shards=2)
    whole = hashes(tmp_path)
    (tmp_path / "images-00001-of-00002.tfrecord").unlink()
    (tmp_path / "index.npz").write_bytes(b"PK\3\4 damaged")
    write_tfrecords(source, str(tmp_path), image_size=SIDE, num_shards=2)
    assert hashes(tmp_path) == whole


@pytest.fixture(scope="module")
def records(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_tfrecords(source, str(folder), image_size=SIDE, num_shards=1)
    return folder


def npz_of(**arrays):
    stored = io.BytesIO()
    np.savez(stored, **arrays)
    return stored.getvalue()


NUMBERS = np.zeros(21, np.int64)
DAMAGES = {
    "description empty": ("dataset.json", b"", "must be JSON"),
    "description not JSON": ("dataset.json", b"\0" * 20, "must be JSON"),
    "description not text": ("dataset.json", b'{"shards": "\xe9"}', "must be UTF-8 text"),
    "description nested": ("dataset.json", b"[" * 100_000, "nested too deeply"),
    "description a list": ("dataset.json", b"[]", "must be an object"),
    "shards a number": (
        "dataset.json",
        b'{"format_version": 1, "num_images": 21, "class_names": [], "shards": 3}',
        "field 'shards' must be a list of texts",
    ),
    "no class names": ("dataset.json", b'{"format_version": 1, "num_images": 21}', "'class_names'"),
    "index empty": ("index.npz", b"", "the same `prepare` command again"),
    "index cut short": ("index.npz", npz_of(labels=NUMBERS)[:200], "the same `prepare` command"),
    "index not npz": ("index.npz", b"\x93NUMPY garbage", "the same `prepare` command again"),
    "index of others": ("index.npz", npz_of(labels=NUMBERS), "the same `prepare` command again"),
    "index of floats": (
        "index.npz",
        npz_of(labels=NUMBERS, offsets=NUMBERS * 0.5, file_of=NUMBERS),
        "the same `prepare` command again",
    ),
    "index of other files": (
        "index.npz",
        npz_of(labels=NUMBERS, offsets=NUMBERS, file_of=NUMBERS + 7),
        "the same `prepare` command again",
    ),
    "index of fewer images": (
        "index.npz",
        npz_of(labels=NUMBERS[:4], offsets=np.arange(4), file_of=NUMBERS[:4]),
        "listed=4, images=21",
    ),
}


@pytest.mark.parametrize("name, content, message", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_of_the_folder_is_named_in_one_line(
    records, tmp_path, name, content, message
):
    folder = shutil.copytree(records, tmp_path / "records")
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:
        open_source(f"tfrecord:{folder}")
    text = str(caught.value)
    assert message in text and str(folder) in text and "\n" not in text


def test_other_settings_are_refused_with_the_differences(source, tmp_path):
    write_tfrecords(source, str(tmp_path), image_size=SIDE)
    before = hashes(tmp_path)
    with pytest.raises(ValueError, match="another `output`") as caught:
        write_tfrecords(source, str(tmp_path), image_size=16, image_format="jpeg")
    message = str(caught.value)
    assert "image_height was 8 and is 16 now" in message
    assert 'image_format was "png" and is "jpeg" now' in message
    assert "num_images" not in message
    assert hashes(tmp_path) == before


def test_a_damaged_image_is_named_and_its_shard_not_written(own_folder, tmp_path):
    damaged = own_folder / "bee" / "0.png"
    damaged.write_bytes(b"")
    output = tmp_path / "output"
    with pytest.raises(ValueError, match=r"bee/0\.png"):
        write_tfrecords(
            open_source(f"folder:{own_folder}"), str(output), image_size=SIDE, num_shards=2
        )
    assert sorted(file.name for file in output.iterdir()) == [
        "images-00000-of-00002.tfrecord",
        "unfinished.json",
    ]


def test_missing_shards_are_named(source, tmp_path):
    write_tfrecords(source, str(tmp_path), image_size=SIDE, num_shards=2)
    (tmp_path / "images-00001-of-00002.tfrecord").unlink()
    with pytest.raises(ValueError, match="images-00001-of-00002"):
        open_source(f"tfrecord:{tmp_path}")


def test_damaged_records_are_named_when_they_are_read(source, tmp_path):
    write_tfrecords(source, str(tmp_path), image_size=SIDE)
    shard = tmp_path / "images-00000-of-00001.tfrecord"
    damaged = bytearray(shard.read_bytes())
    damaged[-50] ^= 255
    shard.write_bytes(damaged)
    records = open_source(f"tfrecord:{tmp_path}")
    records.load(tf.constant(0, tf.int64), 3)
    with pytest.raises(ValueError, match=rf"{shard.name} at byte \d+'"), naming_unreadable():
        records.load(tf.constant(20, tf.int64), 3)


FIRST = tf.constant(0, tf.int64)


@pytest.mark.parametrize(
    "read",
    [
        lambda records: records.load(FIRST, 3),
        lambda records: records.read(FIRST[tf.newaxis]),
    ],
)
def test_a_file_that_vanishes_during_training_is_named(source, tmp_path, read):
    write_tfrecords(source, str(tmp_path), image_size=SIDE)
    records = open_source(f"tfrecord:{tmp_path}")
    (tmp_path / "images-00000-of-00001.tfrecord").unlink()
    messages = []

    def try_to_read():
        try:
            with naming_unreadable():
                read(records)
        except ValueError as error:
            messages.append(str(error))

    # Reading that tries the file for ever must fail the test, not stop it.
    reading = threading.Thread(target=try_to_read, daemon=True)
    reading.start()
    reading.join(timeout=30)
    assert messages and "images-00000-of-00001.tfrecord" in messages[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": 0},
        {"image_channels": 5},
        {"image_format": "gif"},
        {"num_shards": 22},
        {"num_workers": 0},
        {"image_format": "jpeg", "image_channels": 4},
    ],
    ids=lambda wrong: ",".join(wrong),
)
def test_wrong_arguments_are_refused_and_nothing_is_written(source, tmp_path, wrong):
    output = tmp_path / "output"
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        write_tfrecords(source, str(output), **{"image_size": SIDE, **wrong})
    assert not output.exists()


def test_help_needs_no_tensorflow():
    program = (
        "import sys, runpy\n"
        "sys.argv = ['prepare', '--help']\n"
        "try:\n"
        "    runpy.run_module('tf_biggan.prepare', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'tensorflow_datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "--resolution" in result.stdout and "--num_workers" in result.stdout


def test_command_prepares_and_reads_flag_files(image_folder, tmp_path):
    flag_file = tmp_path / "prepare.flags"
    flag_file.write_text(f"--source=folder:{image_folder}\n--resolution=8\n--num_shards=2\n")
    result = run(f"--flagfile={flag_file}", f"--output={tmp_path}/out")
    assert result.returncode == 0, result.stderr
    assert "ant 7, bee 7, cow 7" in result.stdout
    assert open_source(f"tfrecord:{tmp_path}/out").num_images == 21


def test_command_ends_with_one_line_on_bad_input(tmp_path):
    result = run("--source=folder:/not/there", "--resolution=8", f"--output={tmp_path}/out")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("The folder of images does not exist")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing --source, --resolution, --output"),
        (["--resolution=eight"], "must be a side or HEIGHTxWIDTH in pixels"),
        (["--unknown=1"], "Unknown command line flag 'unknown'"),
        (["--source=a", "--resolution=8", "--output=b", "c"], "not a flag: c"),
    ],
)
def test_command_refuses_bad_usage(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr and len(result.stderr.splitlines()) == 1
