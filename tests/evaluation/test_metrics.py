"""Every metric under its right name, compared with torch-fidelity, and the needs of each metric."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.evaluation import tiny
from tests.evaluation.scores.metric_goldens import METRICS as GOLDENS
from tests.evaluation.scores.metric_goldens import feature_sets
from tf_biggan.evaluation import metrics
from tf_biggan.evaluation.comparison import BY_INDEX, BY_NAME, why_classes_differ
from tf_biggan.evaluation.features.extraction import Features
from tf_biggan.evaluation.metrics import METRICS, Context, ReferenceFeatures, score_name
from tf_biggan.evaluation.protocol import ALL_METRICS, DEFAULT
from tf_biggan.evaluation.scores.frechet import feature_statistics

QUICK = dataclasses.replace(DEFAULT, kid_subsets=3, kid_subset_size=100)


def features(count=300, seed=0, shift=0.0, logits=True, labels=True, dim=6):
    random = np.random.RandomState(seed)
    return Features(
        (random.standard_normal((count, dim)) + shift).astype(np.float32),
        random.standard_normal((count, 3)).astype(np.float32) if logits else None,
        np.arange(count, dtype=np.int32) % 3 if labels else None,
        random.randint(0, 2**62, count).astype(np.uint64),
    )


def reference_of(found, names=("a", "b", "c")):
    description = {"count": len(found.features)}
    return ReferenceFeatures(feature_statistics(found.features), found, names, description)


def context(prefix="extractor_", kind="classifier", generated=None, real=None, **more):
    extractor = tiny.extractor((8, 8, 3), prefix, kind)
    reference = more.pop("reference", None) or reference_of(real or features(seed=1))
    names = more.pop("class_names", ("a", "b", "c"))
    return Context(generated or features(), reference, extractor, QUICK, names, **more)


@pytest.mark.parametrize(
    "labels, ours, theirs, expected, note",
    [
        ([0, 2], ("a", "b", "c"), ("a", "b", "c"), [0, 2], ()),
        ([0, 2], (), ("a", "b", "c"), [0, 2], (BY_INDEX,)),
        ([0, 2], ("a", "b", "c"), (), [0, 2], (BY_INDEX,)),
        ([0, 2], ("a", "b", "c"), ("c", "b", "a"), [2, 0], (BY_NAME,)),
        ([0, 2], ("a", "b", "c"), ("a", "c"), [0, 1], (BY_NAME,)),
        ([0, 1], ("a", "b", "c"), ("a", "c"), None, (BY_NAME,)),
        ([0, 2], ("a", "b", "c"), ("a", "b", "zebra"), None, (BY_NAME,)),
        ([0, 3], ("a", "b", "c"), ("a", "b", "c"), None, ()),
        ([-1, 2], (), (), None, (BY_INDEX,)),
        ([0, 1], ("tench, Tinca tinca", "kite"), ("n01440764", "n01608432"), [0, 1], ()),
        (
            [0, 1],
            ("kite", "tench, Tinca tinca"),
            ("n01440764", "n01608432"),
            [1, 0],
            (BY_NAME,),
        ),
    ],
)
def test_classes_are_matched_by_name_by_id_and_by_number(labels, ours, theirs, expected, note):
    made = dataclasses.replace(features(), labels=np.array(labels))
    real = reference_of(features(seed=1), theirs)
    found = context(generated=made, reference=real, class_names=ours)
    assert (None if found.labels is None else found.labels.tolist()) == expected
    assert found.how_classes_were_matched() == note
    if expected is None and ours and ours != theirs:
        message = why_classes_differ(ours, theirs)
        assert "only in these images: 'b'" in message or "only in the reference: 'zebra'" in message


def test_scores_by_class_do_not_depend_on_the_order_of_the_reference():
    same = context()
    turn = np.array([2, 0, 1])
    real = features(seed=1)
    turned = reference_of(dataclasses.replace(real, labels=turn[real.labels]), ("b", "c", "a"))
    made = features()
    logits = np.empty_like(made.logits)
    logits[:, turn] = made.logits  # The classifier was trained on the rotated reference.
    other = context(generated=dataclasses.replace(made, logits=logits), reference=turned)
    for name in ("intra_fid", "accuracy"):
        expected, found = (METRICS[name](which) for which in (same, other))
        assert found.values == pytest.approx(expected.values)
        assert found.per_class[name] == pytest.approx(expected.per_class[name])
        assert (expected.notes, found.notes) == ((), (BY_NAME,))


def test_every_metric_has_a_row():
    assert set(METRICS) == set(ALL_METRICS)


def test_goldens_of_torch_fidelity():
    case = GOLDENS["d64"]
    generated, real = feature_sets("d64")
    # With these digests, sorting by content keeps the order of the rows.
    digests = np.arange(len(generated), dtype=np.uint64)
    made = metrics.ordered(Features(generated, None, None, digests), DEFAULT)
    real = reference_of(metrics.ordered(Features(real, None, None, digests), DEFAULT), ())
    protocol = dataclasses.replace(DEFAULT, kid_subset_size=250)
    found = Context(made, real, tiny.extractor((8, 8, 3)), protocol, ())
    values = {}
    for name in ("fid", "kid", "precision_recall"):
        values |= METRICS[name](found).values
    kid = case["kid_subsets100_size250"]
    expected = {
        "fid": (case["fid"]["frechet_inception_distance"], 1e-5),
        "kid": (kid["kernel_inception_distance_mean"], 5e-6),
        "kid_std": (kid["kernel_inception_distance_std"], 5e-6),
        "precision": (case["prc_k3"]["precision"], 0.004),
        "recall": (case["prc_k3"]["recall"], 0.004),
    }
    assert set(values) == set(expected)
    for name, (value, tolerance) in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=0, atol=tolerance, err_msg=name)


def test_all_metrics_of_one_set_are_finite():
    found = context()
    for name, metric in METRICS.items():
        for value in metric(found).values.values():
            assert isinstance(value, float) and np.isfinite(value), name


def test_intervals_lie_around_their_scores():
    found = context(bootstrap=20)
    for name in ("fid", "is", "kid"):
        result = METRICS[name](found)
        low, high = result.intervals[name]
        assert low < result.values[name] < high


def test_names_are_honest():
    assert score_name("", "fid") == "fid" and score_name("", "is_std") == "is_std"
    for prefix in ("classifier_", "extractor_", "other_inception_"):
        made = {score_name(prefix, name) for name in ("fid", "is", "is_std", "kid", "precision")}
        assert not made & {"fid", "is", "is_std", "kid", "precision"}
        assert f"{prefix}score" in made and not any(name.endswith("_is") for name in made)
    assert score_name("classifier_", "accuracy") == "accuracy"


def test_accuracy_is_by_class_name():
    generated = features(count=6)
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 0, 0]]
    generated = dataclasses.replace(generated, logits=logits)
    result = METRICS["accuracy"](context(generated=generated))
    assert result.values["accuracy"] == pytest.approx(4 / 6)
    assert result.per_class["accuracy"] == {"a": 1.0, "b": 0.5, "c": 0.5}


def test_too_few_images_are_told_and_kid_stands_beside():
    notes = []
    few = context(generated=features(5))
    assert metrics.beside_small_samples(few, ("fid",), notes) == ("kid",)
    assert "5 generated images are too few for 6 features" in notes[0]
    value = METRICS["fid"](few).values["fid"]
    assert np.isfinite(value) and value >= 0
    kid = METRICS["kid"](few)
    assert np.isfinite(kid.values["kid"]) and "subsets of 5 images" in kid.notes[0]
    assert metrics.beside_small_samples(few, ("fid", "kid"), []) == ()
    assert metrics.beside_small_samples(few, ("is",), []) == ()
    assert metrics.beside_small_samples(context(), ("fid",), []) == ()


def test_a_class_of_one_image_is_left_out_and_told():
    real = features(seed=1)
    labels = np.where(np.arange(300) == 0, 2, np.arange(300) % 2).astype(np.int32)
    result = METRICS["intra_fid"](context(real=dataclasses.replace(real, labels=labels)))
    assert set(result.per_class["intra_fid"]) == {"a", "b"}
    assert "1 classes with fewer than 2 images: c" in result.notes[0]
