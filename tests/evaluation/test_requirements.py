"""What each metric needs, in a sentence with the required number and the flag."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.evaluation import tiny
from tf_biggan.evaluation.protocol import ALL_METRICS, DEFAULT, PROTOCOLS
from tf_biggan.evaluation.requirements import (
    NEEDS,
    EvaluationPlan,
    ExtractorSummary,
    ImagesSummary,
    computable,
    expected_extractor,
    unmet_need,
)

NAMES = ("a", "b", "c")
CLASSIFIER = ExtractorSummary("classifier", True, 6)
INCEPTION = expected_extractor("inception", None)
STATISTICS = ImagesSummary(500, None, (), False, "--reference")
UNKNOWN = dataclasses.replace(STATISTICS, count=None)


def side(count=300, flag="--num_images", labels=None, names=NAMES):
    labels = np.arange(count) % 3 if labels is None else labels
    return ImagesSummary(count, labels, names, True, flag)


def real(count=300, **more):
    return side(count, flag="--reference_images", **more)


def plan(**changes):
    usual = EvaluationPlan(side(), real(), CLASSIFIER, DEFAULT)
    return dataclasses.replace(usual, **changes)


def test_every_metric_has_its_needs_and_all_of_one_set_can_be_computed():
    assert set(NEEDS) == set(ALL_METRICS)
    assert computable(plan(), ALL_METRICS) == (ALL_METRICS, {})


UNTRAINED = dataclasses.replace(CLASSIFIER, trainable=False)
LACKS = {
    "one image": (
        "fid",
        dict(generated=side(1)),
        "at least 2 generated images, and there is 1 (--num_images)",
    ),
    "one real image": (
        "fid",
        dict(reference=real(1)),
        "at least 2 reference images, and there is 1 (--reference_images)",
    ),
    "one image's statistics": (
        "fid",
        dict(reference=dataclasses.replace(STATISTICS, count=1)),
        "(--reference)",
    ),
    "splits": (
        "is",
        dict(generated=side(9)),
        "at least 10 generated images, one for each split, and there are 9 (--num_images)",
    ),
    "logits": (
        "is",
        dict(extractor=expected_extractor("net.keras", None)),
        "an extractor with logits",
    ),
    "kid of one": ("kid", dict(generated=side(1)), "at least 2 generated images"),
    "kid of a protocol": (
        "kid",
        dict(protocol=PROTOCOLS["torch_fidelity"]),
        "at least 1,000 generated images, and there are 300",
    ),
    "neighbours": (
        "precision_recall",
        dict(generated=side(3)),
        "at least 4 generated images, because each image needs 3 neighbours, and there are 3"
        " (--num_images)",
    ),
    "real neighbours": (
        "precision_recall",
        dict(reference=real(3)),
        "at least 4 reference images, because each image needs 3 neighbours, and there are 3"
        " (--reference_images)",
    ),
    "more neighbours": (
        "density_coverage",
        dict(generated=side(5)),
        "at least 6 generated images, because each image needs 5 neighbours",
    ),
    "line": (
        "fid_infinity",
        dict(extractor=INCEPTION),
        "at least 20,490 generated images, which is 10 x (2,048 features + 1), and there are 300",
    ),
    "labels": (
        "accuracy",
        dict(generated=dataclasses.replace(side(), labels=None)),
        "generated images with known classes",
    ),
    "other network": ("accuracy", dict(extractor=INCEPTION), "--extractor=classifier"),
    "other classes": (
        "accuracy",
        dict(generated=side(names=("x", "y", "z"))),
        "a reference that has the classes of the images",
    ),
    "more classes": (
        "intra_fid",
        dict(generated=side(names=()), reference=real(names=("a", "b"))),
        "a reference that has the classes of the images",
    ),
    "reference labels": (
        "intra_fid",
        dict(reference=dataclasses.replace(real(), labels=None)),
        "a reference with known classes",
    ),
    "classes of one image": (
        "intra_fid",
        dict(generated=side(3)),
        "at least 2 generated and 2 reference images of one class, and no class has more than 1: 3"
        " generated images (--num_images) and 300 reference images (--reference_images) of 3"
        " classes",
    ),
    "no classes to train on": ("fid", dict(extractor=UNTRAINED), "at least two classes"),
    **{
        f"statistics alone, {name}": (
            name,
            dict(reference=STATISTICS, extractor=INCEPTION),
            "not only their statistics",
        )
        for name in ("kid", "precision_recall", "density_coverage", "intra_fid")
    },
}


@pytest.mark.parametrize("name, changes, sentence", LACKS.values(), ids=LACKS)
def test_what_a_metric_lacks_is_a_sentence_with_number_and_flag(name, changes, sentence):
    found = unmet_need(plan(**changes), name)
    assert found.startswith("needs ") and sentence in found


@pytest.mark.parametrize("reference", [STATISTICS, UNKNOWN])
def test_statistics_are_enough_for_distances(reference):
    found = plan(reference=reference, generated=side(20_490), extractor=INCEPTION)
    assert computable(found, ALL_METRICS)[0] == ("fid", "is", "fid_infinity")


def test_the_fewest_images_are_enough():
    for name, count in (("fid", 2), ("is", 10), ("precision_recall", 4), ("density_coverage", 6)):
        both = dict(generated=side(count), reference=real(count))
        assert unmet_need(plan(**both), name) is None, name
    # The number of features of a user's network is unknown until the network is opened.
    own = ExtractorSummary("own", False, None)
    assert unmet_need(plan(extractor=own, generated=side(3)), "fid_infinity") is None
    assert unmet_need(plan(generated=side(69)), "fid_infinity") is not None
    assert unmet_need(plan(generated=side(70)), "fid_infinity") is None
    assert unmet_need(plan(generated=side(6), reference=real(6)), "intra_fid") is None


def test_a_network_before_it_is_open():
    labelled, one_class = tiny.images(6), tiny.images(6, classes=1)
    assert expected_extractor("classifier", labelled).trainable
    assert not expected_extractor("classifier", one_class).trainable
    assert not expected_extractor("classifier", None).trainable
    assert expected_extractor("inception_bfloat16", None) == INCEPTION
