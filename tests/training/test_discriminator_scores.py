"""Scores of the discriminator: in NumPy, without a change of the networks, and their lines."""

from __future__ import annotations

import types

import numpy as np
import pytest
import tensorflow as tf

from tests.training.test_loop import config
from tf_biggan.data.held_out import divide
from tf_biggan.data.label_distribution import LabelDistribution
from tf_biggan.data.schemes import DIGITS_FILE, open_source
from tf_biggan.generation.latents import labels, latents
from tf_biggan.training import discriminator_scores as module
from tf_biggan.training.discriminator_scores import (
    ACCURACIES,
    SCORES,
    DiscriminatorScores,
    describe_scores,
)
from tf_biggan.training.start import create_state, discriminator_scores

# An affine discriminator: SLOPE times the mean level of an image, plus the bias of its class.
# The levels of digits are near -0.4, so that logits have both signs.
SLOPE = 20.0
BIASES = np.linspace(7.8, 8.8, 10)
PROBABILITIES = np.arange(1, 11) / 55
SEED = 7


def affine(images, classes=None, training=None):
    assert training is False
    biases = BIASES[0] if classes is None else tf.gather(BIASES.astype(np.float32), classes)
    return SLOPE * tf.reduce_mean(images, (1, 2, 3)) + biases


class Flat:
    """A generator of images of one level, tanh(z_0)."""

    image_size, image_channels, latent_dim = (8, 8), 1, 4

    def __call__(self, z, classes=None, training=None):
        assert training is False
        return tf.tanh(z[:, :1, None, None]) * tf.ones((1, 8, 8, 1))


@pytest.mark.parametrize("probabilities", [PROBABILITIES, None])
def test_scores_are_those_of_numpy(mirrored_strategy, probabilities):
    data = divide(open_source("digits"), 0.3, SEED)
    with np.load(DIGITS_FILE) as stored:
        levels = np.round(stored["images"] * (255 / 16)) / 127.5 - 1
        known = levels.mean((1, 2)), stored["labels"]

    def logits_of(means, classes):
        return SLOPE * means + (BIASES[0] if probabilities is None else BIASES[classes])

    expected = {}
    for kind, source in (("train", data.training), ("held_out", data.held_out)):
        count = min(1000, source.num_images)
        chosen = [i * source.num_images // count for i in range(count)]
        rows = np.array([int(source.locate(i).split()[-1]) for i in chosen])
        expected[kind] = logits_of(*(values[rows] for values in known))
    z = latents(SEED, np.arange(1000), 4).numpy()
    classes = labels(SEED, np.arange(1000), PROBABILITIES).numpy()
    expected["generated"] = logits_of(np.tanh(z[:, 0]), classes)

    state = types.SimpleNamespace(generator=Flat(), discriminator=affine)
    distribution = None if probabilities is None else LabelDistribution(probabilities)
    for strategy in (tf.distribute.get_strategy(), mirrored_strategy):
        found = DiscriminatorScores(
            state, data.training, data.held_out, strategy, SEED, distribution
        ).scores()
        assert set(found) == {*SCORES, *ACCURACIES}
        for kind, logits in expected.items():
            right = logits < 0 if kind == "generated" else logits > 0
            assert 0.02 < right.mean() < 0.98  # Both sides of the boundary occur.
            np.testing.assert_allclose(found[f"d_score_{kind}"], logits.mean(), atol=1e-5)
            np.testing.assert_allclose(found[f"d_accuracy_{kind}"], right.mean(), rtol=1e-12)


def test_scoring_changes_no_variable(monkeypatch):
    monkeypatch.setattr(module, "NUM_IMAGES", 20)
    settings = config(num_classes=10, eval_every=1, held_out_share=0.01)
    state = create_state(settings)
    networks = (state.generator, state.average, state.discriminator)
    variables = [variable for network in networks for variable in network.variables]
    before = [np.array(variable) for variable in variables]
    data = divide(open_source("digits"), 0.01, 0)
    scoring = discriminator_scores(settings, tf.distribute.get_strategy(), data, state)
    first = scoring.scores()
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)
    assert scoring.scores() == first
    # The scored generator is the one in training.
    state.average.output_norm.gain.assign(0 * np.asarray(state.average.output_norm.gain))
    assert scoring.scores() == first
    state.generator.output_norm.gain.assign(0 * np.asarray(state.generator.output_norm.gain))
    assert scoring.scores()["d_score_generated"] != first["d_score_generated"]
    whole = divide(open_source("digits"), 0.0, 0)
    assert discriminator_scores(settings, tf.distribute.get_strategy(), whole, state) is None


def test_memorisation_is_told_if_the_accuracies_differ_much():
    values = dict(zip(SCORES, (1.2, -0.13, -1.0), strict=True))
    values |= dict(zip(ACCURACIES, (0.985, 0.52, 0.97), strict=True))
    first, second = describe_scores(values)
    assert first == (
        "Discriminator on training, held-out and generated images: mean logit 1.2, -0.13, -1;"
        " accuracy 98.5%, 52.0%, 97.0%"
    )
    assert "98.5% of the training images for real, but only 52.0% of the held-out" in second
    assert list(describe_scores(values | {"d_accuracy_held_out": 0.9})) == [
        first.replace("52.0%", "90.0%")
    ]
