"""The ten checks, on facts that nobody measured, and the survey of images on a small folder."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.schemes import open_source
from tf_biggan.training.preflight.mistakes import CHECKS, Facts, ImageSurvey, checked, survey

SURVEY = ImageSurvey(count=200, grey=3, shortest_sides=(64, 48, 500), copies=0)
SETTINGS = dict(num_classes=2, num_iterations=1000, ema_decay=0.99, keep_checkpoints=2)


def facts(changes=(), **settings) -> Facts:
    """Facts without a mistake, but for the changes."""
    usual = Facts(
        config=TrainConfig.from_flat({**SETTINGS, **settings}),
        class_names=("owl", "wren"),
        images_per_class=(500, 500),
        num_images=1000,
        survey=SURVEY,
        shorter_side=64,
        replicas=1,
        plan={"d": 64, "g": 64},
        checkpoint_bytes=10**9,
        free_bytes=10**10,
        features=64,
    )
    return dataclasses.replace(usual, **dict(changes))


def seen(**changes):
    return dict(survey=dataclasses.replace(SURVEY, **changes))


def test_there_are_ten_checks_and_none_warns_without_a_reason():
    assert [warning for _, warning in checked(facts())] == [None] * 10
    without = facts(dict(class_names=(), images_per_class=()), num_classes=0)
    assert [warning for _, warning in checked(without)] == [None] * 10


@pytest.mark.parametrize(
    ("check", "changes", "settings", "parts"),
    [
        ("labels", dict(images_per_class=(910, 90)), {}, ("91% of", "the label owl")),
        ("labels", dict(images_per_class=(500, 500, 0)), {}, ("1 of 3 classes have no", "(2)")),
        ("channels", seen(grey=200), {}, ("all 200 examined images", "Use --image_channels=1")),
        ("channels", {}, dict(image_channels=1), ("197 of 200", "Use --image_channels=3")),
        ("number of classes", {}, dict(num_classes=1), ("Use --num_classes=0",)),
        ("number of classes", {}, dict(num_classes=0), ("ignores the 2 classes",)),
        ("images per class", dict(images_per_class=(440, 49)), {}, ("1 classes", "(wren)")),
        ("duplicate images", seen(copies=2, example=("a", "b")), {}, ("2 of 200", "a and b")),
        ("resolution", seen(shortest_sides=(63, 9, 80)), {}, ("63 pixels (smallest 9)", "to 64")),
        (
            "batch size",
            {},
            dict(global_batch_size=256, num_d_steps=4),
            ("1,024 real images (4 D steps of 256)", "have only 1,000"),
        ),
        ("batch size", dict(plan={"d": 7, "g": 7}), {}, ("sees 7 images",)),
        (
            "batch size",
            dict(plan={"d": 7, "g": 7}, replicas=8),
            dict(bn_synchronized=False),
            ("sees 7 images",),
        ),
        ("moving average", {}, dict(ema_start=1000), ("starts at iteration 1,000",)),
        (
            "moving average",
            {},
            dict(ema_decay=0.9999),
            ("about 10,000 iterations, but only 1,000",),
        ),
        ("moving average", {}, dict(ema_decay=1.0), ("about inf",)),
        ("disk space", dict(free_bytes=2 * 10**9), {}, ("3 checkpoints of 1.00 GB need 3.00 GB",)),
        ("disk space", dict(free_bytes=49 * 10**8), dict(eval_every=9), ("5 checkpoints",)),
        (
            "evaluation images",
            {},
            dict(eval_every=9, eval_images=999),
            ("--eval_images gives 999", "fewer than 1,000"),
        ),
        (
            "evaluation images",
            dict(features=2048),
            dict(eval_every=9),
            ("the data gives 1,000", "fewer than 2,049"),
        ),
        (
            "evaluation images",
            dict(missing_scores={"is": "needs more"}),
            dict(eval_every=9),
            ("no is: needs more.",),
        ),
    ],
)
def test_a_mistake_is_found_by_its_check_alone(check, changes, settings, parts):
    found = {name: warning for name, warning in checked(facts(changes, **settings)) if warning}
    assert list(found) == [check]
    for part in parts:
        assert part in found[check]


def test_replicas_share_the_statistics_of_batch_norm():
    assert CHECKS["batch size"](facts(dict(plan={"d": 7, "g": 7}, replicas=2))) is None


def test_scores_that_nobody_asked_for_need_no_images():
    asked = facts(dict(missing_scores={"is": "needs more"}), eval_images=2)
    assert CHECKS["evaluation images"](asked) is None


def test_the_survey_of_a_folder(tmp_path):
    random = np.random.default_rng(0)
    sizes = ((9, 20), (40, 30), (30, 31), (30, 31))
    for number, (height, width) in enumerate(sizes):
        channels = 1 if number == 1 else 3
        pixels = random.integers(0, 256, (height, width, channels), np.uint8)
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(
            tmp_path / f"{number}.png"
        )
    # The same pixels in another file format.
    Image.open(tmp_path / "2.png").save(tmp_path / "4.bmp")
    found = survey(open_source(f"folder:{tmp_path}"))
    assert found == ImageSurvey(5, 1, (30, 9, 30), 1, (f"{tmp_path}/2.png", f"{tmp_path}/4.bmp"))
