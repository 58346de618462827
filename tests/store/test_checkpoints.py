"""The newest readable checkpoint is found from the files, without TensorFlow's list."""

from __future__ import annotations

import os
import pathlib

import pytest
import tensorflow as tf

from tf_biggan.store.checkpoints import (
    Checkpoints,
    UnreadableCheckpoint,
    checkpoint_iterations,
    has_checkpoint,
    read_newest,
)

STATES = {
    "missing": None,
    "empty": b"",
    "NUL bytes": b"\0" * 100,
    "binary": bytes(range(256)),
    "text": b"once upon a time\n",
    "cut in half": b'model_checkpoint_path: "iterat',
    "names what is not there": b'model_checkpoint_path: "iteration-7"\n',
    "names another folder": b'model_checkpoint_path: "/elsewhere/iteration-3"\n',
}


class State:
    """A replacement for a `TrainState` with two variables and no networks."""

    def __init__(self):
        self.iteration = tf.Variable(0, dtype=tf.int64)
        self.weights = tf.Variable(tf.zeros(1000))

    def trackables(self):
        return {"iteration": self.iteration, "generator": self.weights}

    def move_to(self, iteration):
        self.iteration.assign(iteration)
        self.weights.assign(tf.fill([1000], float(iteration)))


def saved(run, *iterations, keep=2):
    """Returns a state that was saved at the given iterations."""
    state = State()
    checkpoints = Checkpoints(state, str(run), keep)
    for iteration in iterations:
        state.move_to(iteration)
        checkpoints.save()
    return checkpoints, state


def restored(run, keep=2):
    state, said = State(), []
    checkpoints = Checkpoints(state, str(run), keep)
    iteration = checkpoints.restore(said.append)
    assert state.weights.numpy().tolist() == [iteration] * 1000
    assert int(state.iteration.numpy()) == iteration
    return checkpoints, state, said


def files(run):
    return sorted(os.listdir(pathlib.Path(run, "checkpoints")))


def of(*iterations):
    endings = ("data-00000-of-00001", "index")
    return sorted([f"iteration-{i}.{e}" for i in iterations for e in endings] + ["checkpoint"])


@pytest.mark.parametrize("content", STATES.values(), ids=STATES.keys())
def test_a_damaged_list_of_checkpoints_changes_nothing(tmp_path, content):
    saved(tmp_path, 1, 2, 3)
    listing = tmp_path / "checkpoints" / "checkpoint"
    listing.unlink() if content is None else listing.write_bytes(content)
    assert has_checkpoint(str(tmp_path))
    checkpoints, state, said = restored(tmp_path)
    assert int(state.iteration.numpy()) == 3 and said == []
    state.move_to(4)
    checkpoints.save()
    assert files(tmp_path) == of(3, 4)
    assert tf.train.latest_checkpoint(str(listing.parent)).endswith("iteration-4")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def blank(path):
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize("damage", [pathlib.Path.unlink, cut, flip, blank])
@pytest.mark.parametrize("file", ["data-00000-of-00001", "index"])
def test_a_damaged_checkpoint_is_passed_over_and_told_of(tmp_path, damage, file):
    saved(tmp_path, 10, 20)
    damage(tmp_path / "checkpoints" / f"iteration-20.{file}")
    _, state, said = restored(tmp_path)
    assert int(state.iteration.numpy()) == 10
    if file == "index" and damage is pathlib.Path.unlink:
        assert said == []  # A checkpoint without an index file is an interrupted write.
    else:
        assert len(said) == 2 and all("\n" not in line for line in said)
        assert "Cannot read checkpoint" in said[0] and "iteration-20 (" in said[0]
        assert "Using" in said[1] and "iteration-10" in said[1]


def test_of_two_shards_one_may_be_missing(tmp_path):
    saved(tmp_path, 1, 2)
    folder = tmp_path / "checkpoints"
    prefixes = [str(folder / f"shard-{n}") for n in range(2)]
    for number, prefix in enumerate(prefixes):
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=[f"v{number}"],
            shape_and_slices=[""],
            tensors=[tf.zeros(3)],
        )
    merged = str(folder / "iteration-3")
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=merged)
    os.remove(f"{merged}.data-00001-of-00002")
    said = []

    def read(prefix):
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)

    assert read_newest(str(tmp_path), read, said.append) == (2, (3,))


def test_where_none_can_be_read_nothing_is_lost(tmp_path):
    saved(tmp_path, 1, 2)
    for path in (tmp_path / "checkpoints").glob("*.data*"):
        cut(path)
    before = {path: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}
    with pytest.raises(UnreadableCheckpoint, match="Cannot read any checkpoint in") as caught:
        restored(tmp_path)
    text = str(caught.value)
    assert "iteration-1 (" in text and "iteration-2 (" in text and "\n" not in text
    assert "remove" not in text and "delete" not in text
    assert {path: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()} == before


def test_a_checkpoint_that_holds_another_iteration_is_passed_over(tmp_path):
    saved(tmp_path, 1, 2)
    for path in list((tmp_path / "checkpoints").glob("iteration-1.*")):
        path.rename(path.with_name(path.name.replace("-1.", "-9.", 1)))
    _, state, said = restored(tmp_path)
    assert int(state.iteration.numpy()) == 2 and "it holds iteration 1" in said[0]


def test_what_cannot_be_read_stays_until_training_has_come_as_far(tmp_path):
    saved(tmp_path, 10, 20, 30, keep=3)
    cut(tmp_path / "checkpoints" / "iteration-30.data-00000-of-00001")
    checkpoints, state, _ = restored(tmp_path)
    state.move_to(25)
    checkpoints.save()
    assert checkpoint_iterations(str(tmp_path)) == [20, 25, 30]
    state.move_to(30)
    checkpoints.save()
    assert files(tmp_path) == of(25, 30)
    assert restored(tmp_path)[2] == []


def test_only_the_newest_are_kept_and_what_the_list_does_not_name_counts(tmp_path):
    saved(tmp_path, 1, 2, 3, 4, keep=10)
    (tmp_path / "checkpoints" / "checkpoint").unlink()
    checkpoints, state, _ = restored(tmp_path, keep=3)
    assert files(tmp_path) == of(2, 3, 4)
    before = (tmp_path / "checkpoints" / "iteration-4.index").stat().st_ino
    checkpoints.save()  # The checkpoint was restored, so there is nothing to write.
    assert (tmp_path / "checkpoints" / "iteration-4.index").stat().st_ino == before
    state.move_to(5)
    checkpoints.save()
    assert files(tmp_path) == of(3, 4, 5)


def test_the_best_checkpoint_of_a_lost_continuation_makes_room(tmp_path):
    """RUN/best-SCORE is written without a restore."""
    saved(tmp_path, 40, keep=1)
    saved(tmp_path, 35, keep=1)
    assert files(tmp_path) == of(35)


def test_what_a_killed_write_left_is_removed(tmp_path):
    saved(tmp_path, 1, 2)
    folder = tmp_path / "checkpoints"
    (folder / "iteration-3_temp").mkdir()
    (folder / "iteration-3_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"x")
    for name in ("iteration-3.index.tempstate123", "checkpoint.tmp1a2b"):
        (folder / name).write_bytes(b"x")
    # Data whose index was never written, and a file of another program.
    (folder / "iteration-3.data-00000-of-00001").write_bytes(b"x")
    (folder / "notes.txt").write_text("mine")
    checkpoints, state, said = restored(tmp_path)
    assert said == [] and int(state.iteration.numpy()) == 2
    assert files(tmp_path) == sorted([*of(1, 2), "notes.txt"])
    state.move_to(5)
    checkpoints.save()
    assert files(tmp_path) == sorted([*of(2, 5), "notes.txt"])


def test_runs_of_tensorflows_manager_can_be_read(tmp_path):
    state = State()
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**state.trackables()),
        str(tmp_path / "checkpoints"),
        max_to_keep=2,
        checkpoint_name="iteration",
    )
    for iteration in (1, 2):
        state.move_to(iteration)
        manager.save(checkpoint_number=iteration)
    _, state, said = restored(tmp_path)
    assert int(state.iteration.numpy()) == 2 and said == []


@pytest.mark.parametrize(
    "name", ["lr=[2e-4,5e-5]", "a[b", "what?", "all*", "back\\slash", "[!x]", "a b", "é"]
)
def test_any_character_may_be_in_the_path_of_a_run(tmp_path, name):
    run = tmp_path / name
    saved(run, 1, 2, 3)
    assert files(run) == of(2, 3)
    checkpoints, state, said = restored(run)
    assert int(state.iteration.numpy()) == 3 and said == []
    state.move_to(4)
    checkpoints.save()
    assert files(run) == of(3, 4)


def test_processes_that_do_not_count_write_elsewhere(tmp_path):
    saved(tmp_path, 1)
    state = State()
    checkpoints = Checkpoints(state, str(tmp_path), keep=1, writes=False)
    assert checkpoints.restore(print) == 1
    state.move_to(2)
    assert checkpoints.save().endswith("iteration-2")
    assert files(tmp_path) == of(1)
