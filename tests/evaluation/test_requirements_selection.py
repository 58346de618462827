"""Which extractor computes which metric; protocols; truncations."""

from __future__ import annotations

import pytest

from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.evaluation.protocol import ALL_METRICS, PROTOCOLS, get_protocol
from tf_biggan.evaluation.requirements import select

CASES = {
    "nothing": ({}, "classifier", {"classifier": ("fid", "accuracy")}),
    "weights": (dict(inception_weights="w"), "inception", {"inception": ("fid", "is", "kid")}),
    "by name": (dict(metrics="fid,is"), "inception", {"inception": ("fid", "is")}),
    "accuracy": (dict(metrics="accuracy"), "classifier", {"classifier": ("accuracy",)}),
    "classifier's": (
        dict(metrics="classifier_fid, classifier_score,accuracy"),
        "classifier",
        {"classifier": ("fid", "is", "accuracy")},
    ),
    "both": (
        dict(metrics="fid,accuracy", inception_weights="w"),
        "inception",
        {"inception": ("fid",), "classifier": ("accuracy",)},
    ),
    "classifier told": (
        dict(metrics="fid,kid", extractor="classifier"),
        "classifier",
        {"classifier": ("fid", "kid")},
    ),
    "own network": (dict(extractor="net.keras"), "net.keras", {"net.keras": ("fid", "kid")}),
    "own network's name": (
        dict(extractor="net.keras", metrics="extractor_fid,fid_infinity"),
        "net.keras",
        {"net.keras": ("fid", "fid_infinity")},
    ),
    "bfloat16": (
        dict(extractor="inception_bfloat16", metrics="fid,accuracy"),
        "inception_bfloat16",
        {"inception_bfloat16": ("fid",), "classifier": ("accuracy",)},
    ),
    "bfloat16's own": (
        dict(extractor="inception_bfloat16"),
        "inception_bfloat16",
        {"inception_bfloat16": ("fid", "is", "kid")},
    ),
    "a curve": (dict(truncation="0.2:1:0.4"), "classifier", {"classifier": ("fid", "is")}),
    "a curve of others": (
        dict(truncation="0.2:1:0.4", extractor="classifier", metrics="precision_recall"),
        "classifier",
        {"classifier": ("precision_recall",)},
    ),
    "protocol": (dict(protocol="torch_fidelity"), "inception", {"inception": ("fid", "is", "kid")}),
}


@pytest.mark.parametrize("settings, primary, by_extractor", CASES.values(), ids=CASES)
def test_metrics_find_their_network(settings, primary, by_extractor):
    config = EvaluateConfig(model="m", **settings)
    found = select(config, get_protocol(config.protocol))
    assert (found.primary, found.by_extractor) == (primary, by_extractor)
    assert found.has_inception == any("inception" in name for name in by_extractor)


def test_metrics_that_are_not_there():
    config = EvaluateConfig(model="m", metrics="fid,lpips")
    with pytest.raises(ValueError, match=r"must be some of fid, is, kid.*metric='lpips'"):
        select(config, get_protocol("tf_biggan"))
    config = EvaluateConfig(model="m", metrics="precision_recall", protocol="mmagic")
    with pytest.raises(ValueError, match="mmagic is reproduced only for the metrics fid, is"):
        select(config, get_protocol("mmagic"))
    config = EvaluateConfig(model="m", extractor="inception_bfloat16", protocol="paper")
    with pytest.raises(
        ValueError, match=r"Protocols of other programs compute in float32.*'paper'"
    ):
        select(config, get_protocol("paper"))


def test_protocols_are_those_of_the_table():
    """Each protocol has the choices of the code base that it is named after."""
    rows = {
        name: (p.splits, p.bias, p.order, p.shuffle_seed, p.reference_split, p.label_sampling)
        for name, p in PROTOCOLS.items()
    }
    assert rows == {
        "tf_biggan": (10, False, "content", None, None, "uniform"),
        "paper": (10, False, "natural", None, "train", "uniform"),
        "torch_fidelity": (10, False, "natural", 2020, None, "uniform"),
        "stylegan": (10, False, "natural", None, "train", "data"),
        "mmagic": (10, False, "natural", None, "train", "uniform"),
    }
    assert PROTOCOLS["mmagic"].is_resize == "pil_bicubic"
    assert all(set(p.metrics) <= set(ALL_METRICS) for p in PROTOCOLS.values())
    for refused, why in (("compare_gan", "not rounded to bytes"), ("pytorch_fid", "it resizes")):
        with pytest.raises(
            ValueError, match=f"protocol of {refused} is not reproduced here: .*{why}"
        ):
            get_protocol(refused)
    with pytest.raises(ValueError, match="`protocol` must be one of tf_biggan, paper"):
        get_protocol("mine")


def test_truncations_are_a_number_or_a_range():
    def of(text):
        return EvaluateConfig(model="m", truncation=text).truncations()

    assert of(None) == (None,) and of("0.5") == (0.5,)
    assert of("0.2:1.0:0.4") == (0.2, 0.6, 1.0)
    curve = of("0.02:1.0:0.02")
    assert len(curve) == 50 and curve[6] == 0.14 and curve[-1] == 1.0
    for wrong in ("much", "1:0.5:0.1", "0:1:0.1", "0.1:1", "0.1:1:-1"):
        with pytest.raises(ValueError, match="must be a number or FROM:TO:STEP"):
            of(wrong)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(truncation="0.5:1.5:0.1"), "is 'scale', at most 1"),
        (dict(truncation="3"), "at most 1"),
        (dict(truncation="0"), "must be above 0"),
        (dict(truncation="0.1:inf:0.1"), "must be a number or FROM:TO:STEP"),
        (dict(truncation="nan"), "must be a number or FROM:TO:STEP"),
        (dict(truncation="0.1:1:0.1", bootstrap=5), "no effect on a truncation curve.*bootstrap=5"),
        (dict(valid_score=3.0), "no effect on scores without a truncation curve.*valid_score=3.0"),
        (dict(output="scores.csv"), "`output` is the JSON file"),
        (dict(bootstrap=1), "must be 0 or at least 2 resamples"),
        (dict(truncation_mode="resample"), "no effect without a truncation"),
        (dict(model=None, images="x", truncation="0.5"), "no effect on --images"),
        (dict(save_statistics="x.txt"), r"must end in \.npz"),
        (dict(resolution=32), "no effect on images that are not in a folder"),
        (
            dict(model=None, images="a.npz", resolution=32),
            "no effect on images that are not in a folder",
        ),
        (dict(model=None, images="folder", raw=True), "no effect on --images.*raw=True"),
    ],
)
def test_what_would_fail_late_or_do_nothing_is_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        EvaluateConfig(**{"model": "m", **settings})


def test_one_of_model_and_images():
    for both in ({}, dict(model="m", images="i")):
        with pytest.raises(ValueError, match="either --model or --images"):
            EvaluateConfig(**both)
