"""The data of a resumed run: the same classes and images, at any path."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.training.test_loop import config
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import DataIdentity
from tf_biggan.data.tfrecord_writer import write_tfrecords
from tf_biggan.networks.architectures import ARCHITECTURES
from tf_biggan.store.run_directory import (
    check_run,
    read_class_names,
    read_config,
    read_data_identity,
    write_config,
)
from tf_biggan.training import start
from tf_biggan.training.loop import train
from tf_biggan.training.start import data_of_run, with_stored_architecture

CLASSES = ("ant", "bee", "cow")


@pytest.fixture
def folder(tmp_path):
    """Returns a folder of three classes with two images each, all with the same number of bytes."""
    for number in range(6):
        place = tmp_path / "images" / CLASSES[number // 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(place / f"{number}.png")
    return tmp_path / "images"


def settings(folder, **more):
    return config(dataset=f"folder:{folder}", num_classes=3, **more)


@pytest.fixture
def run(folder, tmp_path):
    """Returns the folder of a run that started with the images and has no checkpoint yet."""
    run_dir, source = str(tmp_path / "run"), open_source(f"folder:{folder}")
    write_config(run_dir, settings(folder), source.class_names, DataIdentity.of(source))
    return run_dir


def resumed(run_dir, folder, **more):
    said = []
    source = open_source(f"folder:{folder}")
    return *data_of_run(run_dir, source, settings(folder, **more), said.append), said


def test_a_renamed_class_ends_the_command_before_it_trains(run, folder):
    (folder / "ant").rename(folder / "zebra")
    before = read_class_names(run)
    with pytest.raises(ValueError, match=r"only in the run: 'ant'; only in folder:.*: 'zebra'"):
        train(settings(folder), run)
    assert read_class_names(run) == before == CLASSES


def test_classes_in_another_order_are_matched_by_name(run, folder, tmp_path):
    write_tfrecords(open_source(f"folder:{folder}"), str(tmp_path / "records"), image_size=4)
    source = open_source(f"tfrecord:{tmp_path}/records")
    turned = source.with_classes(("cow", "ant", "bee"), (1, 2, 0))
    write_config(run, settings(folder), source.class_names, DataIdentity.of(source))
    said = []
    found, identity = data_of_run(run, turned, settings(folder), said.append)
    assert found.class_names == CLASSES and identity == DataIdentity.of(source)
    np.testing.assert_array_equal(found.labels, source.labels)
    assert len(said) == 1 and "matched by name" in said[0]
    assert turned.labels.tolist() == [1, 1, 2, 2, 0, 0]  # The file is not changed.


def test_data_that_moved_are_the_same_data(run, folder, tmp_path):
    moved = folder.rename(tmp_path / "elsewhere")
    source, identity, said = resumed(run, moved)
    assert (source.class_names, identity, said) == (CLASSES, read_data_identity(run), [])
    # For a folder, the split is a part of the path.
    shutil.copytree(moved, tmp_path / "splits" / "train")
    split = open_source(f"folder:{tmp_path}/splits", split="train")
    assert DataIdentity.of(split) == identity


def change_added(folder):
    Image.new("L", (4, 4)).save(folder / "bee" / "9.png")


def change_removed(folder):
    (folder / "cow" / "5.png").unlink()


def change_renamed(folder):
    (folder / "cow" / "5.png").rename(folder / "cow" / "6.png")


def change_size(folder):
    Image.new("RGB", (9, 9)).save(folder / "cow" / "5.png")


SAME_NUMBER = "6 images then and now, but names, sizes, soft labels or the order of files differ"
CHANGES = {
    change_added: "6 images then, 7 now (bee 2 then, 3 now)",
    change_removed: "6 images then, 5 now (cow 2 then, 1 now)",
    change_renamed: SAME_NUMBER,
    change_size: SAME_NUMBER,
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_other_images_are_refused_unless_a_flag_accepts_them(run, folder, change):
    change(folder)
    with pytest.raises(ValueError) as caught:
        resumed(run, folder)
    message = str(caught.value)
    assert CHANGES[change] in message and "--changed_data" in message and run in message
    _, identity, said = resumed(run, folder, changed_data=True)
    assert said == [f"The data have changed since the run began: {CHANGES[change]}."]
    assert identity != read_data_identity(run)


def test_runs_of_version_0_1_compare_the_path(folder, tmp_path):
    run_dir = str(tmp_path / "run")
    write_config(run_dir, settings(folder), CLASSES)
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="a symbolic link is enough"):
        resumed(run_dir, moved)
    _, identity, said = resumed(run_dir, folder)
    assert said == []
    write_config(run_dir, settings(folder), CLASSES, identity)
    assert resumed(run_dir, moved)[1] == identity


def test_other_settings_of_the_data_still_end_the_command(run, folder):
    with pytest.raises(ValueError, match="flip was False, now True"):
        train(settings(folder, flip=True), run)


def test_a_run_of_more_classes_than_its_data_names_them_all(folder, tmp_path):
    run_dir, source = str(tmp_path / "run"), open_source(f"folder:{folder}")
    of_five = dataclasses.replace(
        settings(folder), model=dataclasses.replace(settings(folder).model, num_classes=5)
    )
    # Version 0.1 wrote no data.json.
    write_config(run_dir, of_five, CLASSES, DataIdentity.of(source))
    assert read_class_names(run_dir) == (*CLASSES, "unnamed 3", "unnamed 4")
    assert data_of_run(run_dir, source, of_five, print)[0] is source


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("classes.json", "null", "must be a list of texts"),
        ("classes.json", "3", "must be a list of texts"),
        ("classes.json", '["ant", 3]', "must be a list of texts"),
        ("classes.json", '["ant", "be', "must be JSON"),
        ("classes.json", "[" * 100_000, "nested too deeply"),
        ("data.json", "[]", "must be an object"),
        ("data.json", "{}", "'num_images' is missing"),
        ("data.json", '{"num_images": "6"}', "'num_images' must be an integer"),
        ("data.json", "\0", "must be JSON"),
    ],
)
def test_damaged_files_are_named_in_one_line(run, folder, name, content, message):
    with open(f"{run}/{name}", "w", encoding="utf-8") as file:
        file.write(content)
    with pytest.raises(ValueError) as caught:
        resumed(run, folder)
    text = str(caught.value)
    assert message in text and f"{run}/{name}" in text and "\n" not in text


def test_the_identity_is_kept_as_json(run, folder):
    with open(f"{run}/data.json", encoding="utf-8") as file:
        content = json.load(file)
    assert (content["num_images"], content["images_per_class"]) == (6, [2, 2, 2])
    assert read_config(run).data.dataset == f"folder:{folder}"
    assert DataIdentity.of(open_source("digits")) == DataIdentity.of(open_source("digits"))


def test_another_order_is_refused(run, folder):
    with pytest.raises(ValueError, match="data_order was 'full', now 'blocks'") as caught:
        check_run(run, settings(folder, data_order="blocks"))
    assert "\n" not in str(caught.value)


def test_a_run_from_before_there_were_orders_has_the_full_one(run, folder):
    path = pathlib.Path(run, "config.json")
    content = json.loads(path.read_text())
    assert content["data"].pop("data_order") == "full"
    path.write_text(json.dumps(content))
    check_run(run, settings(folder))


def test_blocks_of_a_folder_are_refused_before_anything_is_written(folder, tmp_path):
    with pytest.raises(ValueError, match="--data_order=blocks must be used with records"):
        train(settings(folder, data_order="blocks"), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_an_architecture_of_ones_own_is_kept_by_the_run(tmp_path):
    fields = dataclasses.asdict(ARCHITECTURES["biggan16"]) | {"name": "own"}
    run_dir = str(tmp_path / "run")
    write_config(run_dir, config(architecture=fields))
    resumed_run = with_stored_architecture(config(), run_dir)
    assert resumed_run == config(architecture=fields)
    check_run(run_dir, resumed_run)
    other = with_stored_architecture(config(architecture={**fields, "base_channels": 8}), run_dir)
    with pytest.raises(ValueError, match=r"architecture\.base_channels was 64, now 8"):
        check_run(run_dir, other)
    named = with_stored_architecture(config(architecture="biggan16"), run_dir)
    with pytest.raises(ValueError, match=r"architecture was 'own', now 'biggan16'"):
        check_run(run_dir, named)


def test_machines_compare_flags_and_images_but_not_paths(monkeypatch):
    def numbers(images="12" * 32, **settings):
        compared = []
        monkeypatch.setattr(
            start, "require_same", lambda _, number, *__, **___: compared.append(number)
        )
        identity = DataIdentity(4, (2, 2), images)
        config = TrainConfig.from_flat(settings)
        start._require_same_everywhere(tf.distribute.get_strategy(), config, identity)
        return compared

    flags, images = numbers()
    assert max(flags, images) < 2**32
    paths = dict(dataset="tfrecord:/here", data_dir="/here", download=True, init_from="/here")
    assert numbers(**paths) == [flags, images]
    assert numbers(g_learning_rate=1e-3)[0] != flags and numbers(num_iterations=3)[0] != flags
    assert numbers(images="34" * 32) == [flags, int("34343434", 16)]
