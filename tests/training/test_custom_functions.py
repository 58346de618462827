"""Losses and augmentations of the user's modules: the documentation's example, and errors."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from tests.documentation import marked_block
from tests.training.small_run import SMALL_RUN
from tf_biggan.cli.train_settings import StepConfig, TrainConfig
from tf_biggan.store.opened_model import open_model
from tf_biggan.store.run_directory import read_config
from tf_biggan.training.augmentation import get_augmentation
from tf_biggan.training.custom_functions import check_augmentation, check_loss
from tf_biggan.training.logs import read_metrics
from tf_biggan.training.loop import train
from tf_biggan.training.losses import LOSSES, get_loss

SETTINGS = SMALL_RUN | dict(g_channels=1, d_channels=1, latent_dim=4, num_iterations=1)
HEAD = (
    "import numpy as np, tensorflow as tf\nfrom tf_biggan.training.losses import AdversarialLoss\n"
)
D, G = "lambda real, fake: (-real, fake)", "lambda fake: -fake"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into a folder of sys.path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text, name="mine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    yield write
    for name in ("mine", "my_gan"):
        sys.modules.pop(name, None)


def test_the_example_of_the_readme_trains_and_its_run_needs_the_module_to_resume(
    module, tmp_path, monkeypatch, eagerly
):
    module(marked_block("docs/training.md", "my_gan.py"), "my_gan")
    own = dict(loss="my_gan:lsgan", augmentation="my_gan:brightness")
    config = TrainConfig.from_flat({**SETTINGS, **own})
    run_dir = str(tmp_path / "run")
    assert train(config, run_dir)
    line = read_metrics(run_dir)[0]
    # The metrics are means of squares. Hinge losses of the same logits would be 1 - d_real and 1 +
    # d_fake.
    assert line["d_loss_fake"] >= line["d_fake"] ** 2 and line["g_loss"] >= 0
    assert line["d_loss_real"] >= (line["d_real"] - 1) ** 2
    assert abs(line["d_loss_fake"] - 1 - line["d_fake"]) > 0.5
    (tmp_path / "my_gan.py").unlink()
    monkeypatch.delitem(sys.modules, "my_gan")
    stored = read_config(run_dir).step
    assert dict(loss=stored.loss, augmentation=stored.augmentation) == own
    assert open_model(run_dir).kind == "run"
    longer = TrainConfig.from_flat({**SETTINGS, **own, "num_iterations": 2})
    with pytest.raises(ValueError, match=r"Cannot load --loss=my_gan:lsgan: .* no module my_g"):
        train(longer, run_dir)


def test_the_same_formula_in_an_own_module_is_the_same_loss(module):
    text = "from tf_biggan.training.losses import LOSSES\nsame = LOSSES['hinge']"
    module(text)
    assert get_loss("mine:same") is LOSSES["hinge"]
    check_loss("mine:same")
    check_loss("mine:same", "float64")


@pytest.mark.parametrize("name", LOSSES)
def test_the_packages_own_losses_pass_the_check_of_others(name, module):
    module(f"from tf_biggan.training.losses import LOSSES\nsame = LOSSES['{name}']")
    check_loss("mine:same")


BROKEN = {
    "syntax": ("x = = 1", "importing mine fails with SyntaxError: invalid syntax"),
    "import": ("import no_such_thing", "Python finds no module no_such_thing"),
    "raises": ("raise RuntimeError('two\\nlines')", "fails with RuntimeError: two lines"),
    "exits": ("undefined", "fails with NameError: name 'undefined' is not defined"),
    "no attribute": ("other = 1", "the module mine has no attribute loss; it has other."),
    "no loss": ("loss = 3", "it has no function discriminator and no function generator"),
    "half a loss": ("class loss:\n  generator = abs", "it has no function discriminator. Name a"),
}
UNUSABLE = {
    "arguments": ("lambda real: (real, real)", G, r"discriminator\(real, fake\) fails with TypeE"),
    "one value": ("lambda real, fake: real - fake", G, "must return two losses of the same dtype"),
    "three values": ("lambda r, f: (r, f, f)", G, r"returns (float32 \[7\],? ?){3}"),
    "means": (D, "lambda f: tf.reduce_mean(-f)", r"one loss .* but returns float32 \[\]"),
    "nothing": (D, "lambda f: None", r"generator\(fake\) fails with ValueError"),
    "dtype": (D, "lambda f: tf.cast(-f, 'float64')", r"returns float64 \[7\]"),
    "not finite": (D, "lambda f: tf.math.log(f)", "must return finite numbers"),
    "eager only": (D, "lambda f: tf.constant(f.numpy())", "fails with .*numpy"),
    "constant": (
        D,
        "lambda f: tf.round(f)",
        r"gradient of generator\(fake\) with respect to fake is 0",
    ),
    "one-sided": ("lambda r, f: (-r, 0 * f)", G, "with respect to fake is 0 everywhere"),
    "gradient": (D, "lambda f: tf.sqrt(tf.abs(f))", "gradient of .* must be finite"),
    "raises": (D, "lambda f: {}['key']", "generator.* fails with KeyError: 'key'"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_modules_that_cannot_be_loaded_are_told_in_one_line(module, text, message):
    module(text)
    with pytest.raises(ValueError, match="--loss=mine:loss") as raised:
        check_loss("mine:loss")
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(("d", "g", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_losses_that_cannot_be_trained_with_are_told_in_one_line(module, d, g, message):
    module(f"{HEAD}loss = AdversarialLoss({d}, {g})")
    with pytest.raises(ValueError, match=message) as raised:
        check_loss("mine:loss")
    assert str(raised.value).startswith("Cannot use --loss=mine:loss: ")
    assert "\n" not in str(raised.value)


SEEDED = "from tf_biggan.generation.latents import uniform_for_each\n"
UNUSABLE_AUGMENTATIONS = {
    "arguments": ("lambda images: images", r"augment\(images, seeds\) fails with TypeError"),
    "shape": ("lambda x, s: x[:, 1:]", r"must return images float32 \[3, 8, 8, 1\], but returns"),
    "dtype": ("lambda x, s: tf.cast(x, 'float16')", "but returns float16"),
    "two": ("lambda x, s: (x, x)", "must return images"),
    "nothing": ("lambda x, s: None", "fails with ValueError"),
    "not finite": ("lambda x, s: tf.sqrt(x)", "must return finite numbers"),
    "no gradient": ("lambda x, s: tf.round(x)", "gradient of augment.* is 0 everywhere"),
    "eager only": ("lambda x, s: tf.constant(x.numpy())", "fails with .*numpy"),
    "own numbers": ("lambda x, s: x + tf.random.uniform([])", "equal images for equal seeds"),
    "of the batch": ("lambda x, s: x - tf.reduce_mean(x)", "treat each image by itself"),
    "of the first": (
        "lambda x, s: x + tf.random.stateless_uniform([len(x), 1, 1, 1], s[-1])",
        "treat each image by itself",
    ),
    "one size": ("lambda x, s: tf.ensure_shape(x, [3, 8, 8, 1])", "fails with"),
    "no function": ("3", "it is not a function"),
}


@pytest.mark.parametrize(
    ("text", "message"), UNUSABLE_AUGMENTATIONS.values(), ids=UNUSABLE_AUGMENTATIONS
)
def test_augmentations_that_cannot_be_used_are_told_in_one_line(module, text, message):
    module(f"{HEAD}augment = {text}")
    with pytest.raises(ValueError, match=message) as raised:
        check_augmentation("mine:augment", (8, 8, 1))
    assert str(raised.value).startswith("Cannot use --augmentation=mine:augment: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "lambda x, s: x",
        "lambda x, s: x * tf.cast(uniform_for_each(s, (1, 1, 1)), x.dtype)",
        # The sum of its output is constant.
        "lambda x, s: x - tf.reduce_mean(x, axis=[1, 2, 3], keepdims=True)",
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_augmentations_that_can_be_used(module, text, dtype):
    module(f"{HEAD}{SEEDED}augment = {text}")
    check_augmentation("mine:augment", (8, 8, 1), dtype)


def test_without_an_augmentation_there_is_nothing_to_check():
    check_augmentation(None, (8, 8, 1))
    assert StepConfig().augmentation is None and get_augmentation(None) is None


def test_a_run_with_an_unusable_loss_is_refused_before_its_folder_is_made(module, tmp_path):
    module(f"{HEAD}loss = AdversarialLoss({D}, lambda fake: fake[0])")
    with pytest.raises(ValueError, match="must return one loss"):
        train(TrainConfig.from_flat({**SETTINGS, "loss": "mine:loss"}), str(tmp_path / "run"))
    assert not os.path.exists(tmp_path / "run")


@pytest.mark.parametrize("name", ["lsgan", "a.b", ":x", "a:", "a:b:c", "a-b:c", "../a:b", "a: b"])
def test_names_of_no_form_are_refused(name):
    with pytest.raises(ValueError, match=r"hinge, nonsaturating, wasserstein, MODULE:ATTRIBUTE"):
        TrainConfig(step=StepConfig(loss=name))


def test_attributes_may_be_classes_with_functions(module):
    module(
        "class Loss:\n  def discriminator(real, fake): return -real, fake\n"
        "  def generator(fake): return -fake"
    )
    check_loss("mine:Loss")
    np.testing.assert_array_equal(get_loss("mine:Loss").generator(np.ones(2)), [-1, -1])
