"""The evaluate command from settings to files, with a tiny run, folders and .npz files."""

from __future__ import annotations

import csv
import functools
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.training.test_loop import config as run_config
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.evaluation import run_evaluation as scoring
from tf_biggan.evaluation.features import classifier
from tf_biggan.evaluation.features.generated_images import GeneratedImages
from tf_biggan.evaluation.inception import extractor as inception_weights
from tf_biggan.evaluation.protocol import get_protocol
from tf_biggan.evaluation.requirements import select
from tf_biggan.evaluation.run_evaluation import evaluate
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.run_directory import write_config
from tf_biggan.training.start import create_state

QUICK = functools.partial(classifier.ClassifierSettings, channels=(8, 8), updates=(30, 30))


@pytest.fixture(autouse=True)
def quick(monkeypatch, folders):
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(folders / "cache"))
    monkeypatch.setattr(classifier, "ClassifierSettings", QUICK)
    monkeypatch.setattr(scoring, "OTHER_IMAGES", 70)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("scoring")


@pytest.fixture(scope="module")
def run(folders):
    """Returns a run with two checkpoints of untrained networks, which are quick to make."""
    path, settings = str(folders / "run"), run_config(num_classes=10)
    state = create_state(settings)
    write_config(path, settings, tuple("0123456789"))
    checkpoints = Checkpoints(state, path, keep=2)
    gain = np.asarray(state.average.output_norm.gain)
    for iteration, factor in ((1, 10.0), (2, 30.0)):
        state.iteration.assign(iteration)
        state.average.output_norm.gain.assign(factor * gain)
        checkpoints.save()
    return path


@pytest.fixture(scope="module")
def network(folders):
    """Returns an extractor that multiplies the means of 8x8 patches by a matrix."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.AveragePooling2D(8)(inputs)
    x = keras.layers.Rescaling(1 / 64.0, -2.0)(keras.layers.Flatten()(x))
    start = keras.initializers.RandomNormal(seed=0)
    keras.Model(inputs, keras.layers.Dense(5, kernel_initializer=start)(x)).save(
        folders / "network.keras"
    )
    return str(folders / "network.keras")


@pytest.fixture(scope="module")
def pixels():
    random = np.random.RandomState(0)
    coarse = random.randint(0, 256, (41, 4, 4, 3)).astype(np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def scores_of(**settings):
    return evaluate(EvaluateConfig(**settings))


def of_images(path, network, **settings):
    settings = {"metrics": "fid,kid,precision_recall", **settings}
    return scores_of(
        images=str(path), reference="digits", reference_images=60, extractor=network, **settings
    ).values


def test_a_run_with_no_other_flag(run, capsys):
    scores = scores_of(model=run)
    assert set(scores.values) == {"classifier_fid", "accuracy", "held_out_accuracy"}
    out = capsys.readouterr().out
    assert "(weights ema, iteration 2): 70 images against digits (1,797 images)" in out
    assert "accuracy by class: 0 " in out
    with open(f"{run}/scores.json", encoding="utf-8") as file:
        written = json.load(file)
    assert written["scores"] == scores.values
    assert set(written["per_class"]["accuracy"]) == set("0123456789")
    protocol = written["protocol"]
    assert protocol["images"]["model"]["weights"] == "ema"
    assert protocol["images"]["model"]["iteration"] == 2
    for name in ("seed", "truncation", "truncation_mode", "bn", "label_sampling", "sha256"):
        assert name in protocol["images"]
    assert {"images", "count", "crop", "resize", "resolution", "sha256"} <= set(
        protocol["reference"]
    )
    assert protocol["extractors"]["classifier"]["kind"] == "classifier"
    assert protocol["choices"]["splits"] == 10 and "tensorflow" in protocol["versions"]


def test_raw_weights_and_earlier_iterations_score_otherwise(run, tmp_path):
    settings = dict(model=run, metrics="classifier_fid", output=str(tmp_path / "s.json"))
    values = [
        scores_of(**settings, **which).values["classifier_fid"]
        for which in ({}, {"raw": True}, {"iteration": 1}, {"seed": 1, "truncation": "0.3"})
    ]
    assert len(set(values)) == 4


@pytest.fixture(scope="module")
def npz(folders, pixels):
    np.savez(folders / "images.npz", x=pixels)
    return folders / "images.npz"


def assert_equal_scores(one, two):
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-6, atol=0, err_msg=name)


def test_batches_replicas_and_order_do_not_change_a_score(npz, network, pixels, tmp_path):
    first = of_images(npz, network, feature_cache="none")
    assert first["extractor_fid"] > 0.1 and first["extractor_kid"] > 0.01
    for settings in ({"batch_size": 7}, {"strategy": "mirrored", "batch_size": 16}):
        assert_equal_scores(of_images(npz, network, feature_cache="none", **settings), first)
    np.savez(tmp_path / "turned.npz", x=pixels[np.random.RandomState(1).permutation(41)])
    assert_equal_scores(of_images(tmp_path / "turned.npz", network), first)
    for number, image in enumerate(pixels[::-1]):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    assert_equal_scores(of_images(tmp_path, network), first)


@pytest.fixture(scope="module")
def some_digits(folders, pixels):
    """Returns a folder with images of two of the run's classes."""
    for number, name in enumerate(["7", "1", "1"]):
        place = folders / "some" / name
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number]).save(place / f"{number}.png")
    (folders / "some" / "1" / "left out.gif").write_bytes(b"")
    return folders / "some"


def test_labels_as_in_the_data_are_matched_by_name(run, some_digits, tmp_path):
    settings = dict(model=run, label_sampling="data", num_images=40, metrics="fid")
    config = EvaluateConfig(**settings, reference=str(some_digits))
    protocol = get_protocol(config.protocol)
    compared = scoring._open(config, protocol, tf.distribute.get_strategy())
    images = scoring._images(config, protocol, select(config, protocol), compared, None)
    assert np.bincount(images.labels).argmax() == 1 and set(images.labels) == {1, 7}
    left_out, note = scoring._notes_on_images(config, protocol, compared, images)
    assert "Left out of" in left_out and "1 .gif" in left_out
    assert "only in the model: '0', '2', '3', '4', '5' and 3 more" in note
    strange = tmp_path / "strange"
    shutil.copytree(some_digits, strange)
    (strange / "7").rename(strange / "ant")
    with pytest.raises(
        ValueError,
        match=r"a model that has all classes of the reference; .*in the reference: 'ant'",
    ):
        evaluate(EvaluateConfig(**settings, reference=str(strange)))


def test_one_image_has_a_kernel_distance_of_nothing_and_says_so(tmp_path, network, pixels):
    np.savez(tmp_path / "one.npz", x=pixels[:1])
    with pytest.raises(ValueError, match="at least 2"):
        of_images(tmp_path / "one.npz", network, metrics="fid")


def test_too_few_images_are_noted(tmp_path, network, pixels):
    np.savez(tmp_path / "few.npz", x=pixels[:4])
    scores = scores_of(
        images=str(tmp_path / "few.npz"),
        reference="digits",
        reference_images=60,
        extractor=network,
        metrics="fid",
    )
    assert all(np.isfinite(value) for value in scores.values.values())
    assert "extractor_kid" in scores.values
    assert any("4 generated images are too few for 5 features" in note for note in scores.notes)


def test_statistics_in_a_file_give_the_same_distance(npz, network, tmp_path, folders):
    path = str(tmp_path / "digits.npz")
    first = of_images(npz, network, metrics="fid", save_statistics=path)
    settings = dict(images=str(npz), reference=path, extractor=network)
    again = scores_of(**settings, metrics="fid")
    assert again.values["extractor_fid"] == pytest.approx(first["extractor_fid"], rel=1e-9)
    assert again.reference["count"] == 60 and again.reference["images"] == "digits"
    with pytest.raises(ValueError, match="needs the reference's images, not only their statistics"):
        scores_of(**settings, metrics="kid")
    some = scores_of(**settings, metrics="kid,fid,accuracy")
    assert set(some.values) == {"extractor_fid"}
    assert "No accuracy: needs the classifier, which is trained on a reference" in some.notes[1]
    layer = keras.models.load_model(network).layers[-2].name
    with pytest.raises(ValueError, match="another number of features"):
        scores_of(**settings, metrics="fid", layer=layer)


def test_a_curve_has_a_file_and_a_chart(run, network, tmp_path, capsys):
    output = str(tmp_path / "curve.json")
    settings = dict(truncation="0.5:1.0:0.5", num_images=20, valid_score=1.0)
    scores_of(model=run, output=output, **settings)
    with open(output, encoding="utf-8") as file:
        curve = json.load(file)["curve"]
    assert [point["truncation"] for point in curve["points"]] == [0.5, 1.0, None]
    assert curve["names"] == ["classifier_fid", "classifier_score"] and curve["valid_score"] == 1
    assert set(curve["columns"]) == {"no truncation", "min FID", "FID at valid IS", "max IS"}
    assert Image.open(tmp_path / "curve.png").format == "PNG"
    assert "no truncation: " in capsys.readouterr().out


def test_other_scores_along_a_curve(run, tmp_path, capsys):
    output = str(tmp_path / "curve.json")
    metrics = "classifier_fid,precision_recall,accuracy"
    settings = dict(truncation="0.5:1.0:0.5", num_images=20, extractor="classifier")
    found = scores_of(model=run, output=output, metrics=metrics, **settings)
    with open(output, encoding="utf-8") as file:
        curve = json.load(file)["curve"]
    names = {"classifier_fid", "classifier_precision", "classifier_recall", "accuracy"}
    for point in curve["points"]:
        assert names < set(point) and np.isfinite(list(found.values.values())).all()
    assert curve["points"][-1] == {"truncation": None, **found.values}
    assert curve["names"] == [] and curve["columns"] == {}
    with open(tmp_path / "curve.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["truncation"] for row in rows] == ["0.5", "1.0", ""]
    assert names < set(rows[0]) and Image.open(tmp_path / "curve.png").width == 1440
    assert "classifier_precision" in capsys.readouterr().out
    with pytest.raises(ValueError, match="`valid_score` needs the metrics 'fid' and 'is'"):
        scores_of(model=run, metrics="accuracy", truncation="0.5:1.0:0.5", valid_score=1.0)


@pytest.fixture
def no_images(monkeypatch):
    """Makes the test fail if an image is generated."""

    def batches(self, size):
        raise AssertionError("images were generated")

    monkeypatch.setattr(GeneratedImages, "batches", batches)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (dict(metrics="classifier_precision_recall", num_images=3), r"4 generated.* 3 \(--num_im"),
        (dict(metrics="classifier_intra_fid", num_images=2), r"2 generated and 2 reference images"),
        (
            dict(metrics="classifier_score", num_images=9),
            r"10 generated images, one for each split",
        ),
        (dict(metrics="classifier_fid_infinity"), r"which is 10 x \(64 features \+ 1\)"),
        (
            dict(metrics="kid", extractor="classifier", num_images=1),
            r"2 generated images, and there",
        ),
        (
            dict(metrics="density_coverage", extractor="classifier", reference_images=5),
            r"6 reference images.* 5 \(--reference_images\)",
        ),
        (
            dict(metrics="fid,precision_recall"),
            r"No fid, precision_recall: .*--extractor=classifier",
        ),
        (
            dict(metrics="kid", protocol="torch_fidelity", num_images=500),
            r"at least 1,000 generated",
        ),
        (dict(metrics="fid,accuracy", reference="{plain}"), r"No accuracy: .*two classes"),
    ],
)
def test_metrics_that_cannot_be_computed_are_refused_before_images_are_generated(
    settings, reason, run, plain, no_images, monkeypatch, tmp_path
):
    if "fid" in settings["metrics"].split(","):
        monkeypatch.setenv("TF_BIGGAN_CACHE", str(tmp_path))
    settings = {k: v.format(plain=plain) if k == "reference" else v for k, v in settings.items()}
    with pytest.raises(ValueError, match=reason) as refused:
        scores_of(model=run, output=str(tmp_path / "s.json"), **settings)
    assert "\n" not in str(refused.value) and not (tmp_path / "s.json").exists()


def test_metrics_that_can_be_computed_are_kept(run, tmp_path, capsys, monkeypatch):
    output = str(tmp_path / "s.json")
    metrics = "fid,accuracy,precision_recall,classifier_fid,classifier_precision_recall"
    monkeypatch.setattr(inception_weights, "cache_folder", lambda: tmp_path)
    found = scores_of(model=run, metrics=metrics, num_images=3, output=output)
    assert set(found.values) == {
        *("accuracy", "held_out_accuracy", "classifier_fid"),
        *("classifier_kid", "classifier_kid_std"),
    }
    few = "No precision_recall, classifier_precision_recall: needs at least 4 generated images"
    assert found.notes[0].startswith(few)
    assert found.notes[1].startswith("No fid: The weights of the Inception")
    # The message about left-out metrics comes before the work begins.
    assert capsys.readouterr().out.startswith(f"Note: {few}")
    with open(output, encoding="utf-8") as file:
        assert json.load(file)["notes"][:2] == found.notes[:2]


def test_a_second_evaluation_keeps_the_scores_of_the_first(run, tmp_path, capsys):
    path = tmp_path / "scores.json"
    settings = dict(model=run, metrics="classifier_fid", output=str(path))
    scores_of(**settings)
    first = path.read_bytes()
    scores_of(**settings)
    assert path.read_bytes() == first and "Earlier" not in capsys.readouterr().out
    scores_of(**settings, iteration=1)
    assert (tmp_path / "scores-1.json").read_bytes() == first
    assert (tmp_path / "scores-1.csv").exists() and path.read_bytes() != first
    assert f"Earlier scores are kept: {path} is now" in capsys.readouterr().out


@pytest.fixture
def plain(tmp_path, pixels):
    """Returns a folder with one image and no class."""
    (tmp_path / "plain").mkdir()
    Image.fromarray(pixels[0]).save(tmp_path / "plain" / "a.png")
    return tmp_path / "plain"


FAULTS = {
    "no reference": (dict(images="{npz}"), "give the real images to compare with by --reference"),
    "no model": (dict(model="{tmp}/nothing"), "the model does not exist"),
    "no images": (
        dict(images="{tmp}/nothing", reference="digits"),
        "path of images does not exist",
    ),
    "no such data": (dict(model="{run}", reference="mnist"), "must have one of the forms digits"),
    "no extractor": (
        dict(model="{run}", extractor="{tmp}/x.keras"),
        "There is no feature extractor",
    ),
    "no metric": (dict(model="{run}", metrics="fids"), "`metrics` must be some of fid"),
    "folder as output": (dict(model="{run}", output="{tmp}"), "must be a file, not a folder"),
    "truncation": (dict(model="{run}", truncation="5"), "`truncation` must be above 0"),
    "no classes": (dict(images="{npz}", reference="{plain}"), "at least two classes"),
}


@pytest.mark.parametrize("settings, message", FAULTS.values(), ids=FAULTS)
def test_bad_input_is_one_sentence(settings, message, run, npz, tmp_path, plain):
    places = dict(tmp=tmp_path, run=run, npz=npz, plain=plain)
    with pytest.raises(ValueError) as error:
        scores_of(**{name: value.format(**places) for name, value in settings.items()})
    assert message.lower() in str(error.value).lower()
    assert "\n" not in str(error.value)
