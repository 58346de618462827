"""The halves of an update of the discriminator or the generator: gradients, and their application.

Every function runs in a replica. Losses are sums over examples divided by the number of examples of
the whole update, over all accumulations and replicas; the optimiser adds the gradients of the
replicas.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tf_biggan.cli.train_settings import StepConfig
from tf_biggan.training.augmentation import get_augmentation
from tf_biggan.training.losses import get_loss
from tf_biggan.training.regularizers import (
    ORTHOGONAL_PENALTIES,
    kernel_matrices,
    r1_penalty,
)
from tf_biggan.training.sigma_clamp import clamp_to, clamp_to_second
from tf_biggan.training.state import TrainState

# What `discriminator_gradients` and `generator_gradients` measure, in this order.
D_METRICS = ("d_loss_real", "d_loss_fake", "d_real", "d_fake")
G_METRICS = ("g_loss",)


class RandomInputs(NamedTuple):
    """Latents [N, latent_dim] and labels [N] (None if unconditional) of one pass.

    The seeds [N, 2] of generated and of real images are given if there is an augmentation.
    """

    latents: tf.Tensor
    labels: tf.Tensor | None
    fake_seeds: tf.Tensor | None = None
    real_seeds: tf.Tensor | None = None


class RealBatch(NamedTuple):
    """Real images [N, H, W, C] and their labels [N] (None if unconditional) of one pass."""

    images: tf.Tensor
    labels: tf.Tensor | None


def discriminator_gradients(
    state: TrainState, config: StepConfig, real: RealBatch, draw: RandomInputs, replicas: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Gradients of one accumulation step of D. G's batch-norm statistics and both u are updated.

    Args:
      state: the state whose D is differentiated.
      real, draw: inputs of this accumulation step.
      replicas: number of replicas that run this function at once.

    Returns:
      The gradients of this replica's share of the loss, one for each trainable variable of D; and
      its share of the means `D_METRICS` [4].
    """
    fake = state.generator(draw.latents, draw.labels, training=True)
    with tf.GradientTape() as tape:
        loss, means = _discriminator_pass(state.discriminator, config, real, fake, draw)
        total = loss / (config.d_accumulations * replicas)
    gradients = _gradients(tape, total, state.discriminator.trainable_variables)
    return gradients, tf.stack([means[name] for name in D_METRICS]) / replicas


def apply_discriminator(
    state: TrainState, config: StepConfig, gradients: list[tf.Tensor], replicas: int
) -> None:
    """Applies the accumulated gradients and the orthogonal penalty to D with Adam."""
    variables = state.discriminator.trainable_variables
    penalties = _orthogonal_gradients(
        variables,
        config.d_orthogonal / replicas,
        config.d_orthogonal_form,
        lambda: kernel_matrices(state.discriminator),
    )
    state.d_optimizer.apply(added(gradients, penalties), variables)


def _discriminator_pass(discriminator, config, real, fake, draw):
    """(mean loss with penalties, logged means) of one pass over this replica's examples."""
    watched = tf.identity(real.images)
    with tf.GradientTape(watch_accessed_variables=False) as image_tape:
        image_tape.watch(watched)
        real_logits, fake_logits = _logits(discriminator, config, watched, fake, real, draw)
        real_sum = tf.reduce_sum(real_logits)
    real_loss, fake_loss = get_loss(config.loss).discriminator(real_logits, fake_logits)
    means = {
        "d_loss_real": tf.reduce_mean(real_loss),
        "d_loss_fake": tf.reduce_mean(fake_loss),
        "d_real": tf.reduce_mean(real_logits),
        "d_fake": tf.reduce_mean(fake_logits),
    }
    loss = means["d_loss_real"] + means["d_loss_fake"]
    if config.r1_gamma:
        slopes = image_tape.gradient(real_sum, watched)
        loss += config.r1_gamma * tf.reduce_mean(r1_penalty(slopes))
    return loss, means


def _logits(discriminator, config, images, fake, real, draw):
    fake = _augmented(config, fake, draw.fake_seeds)
    images = _augmented(config, images, draw.real_seeds)
    if config.split_d:
        fake_logits = discriminator(fake, draw.labels, training=True)
        return discriminator(images, real.labels, training=True), fake_logits
    both = tf.concat([fake, tf.cast(images, fake.dtype)], axis=0)
    labels = None if draw.labels is None else tf.concat([draw.labels, real.labels], axis=0)
    logits = discriminator(both, labels, training=True)
    return logits[fake.shape[0] :], logits[: fake.shape[0]]


def _augmented(config, images, seeds):
    augment = get_augmentation(config.augmentation)
    return images if augment is None else augment(images, seeds)


def generator_gradients(
    state: TrainState, config: StepConfig, draw: RandomInputs, replicas: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Gradients of one accumulation step of G through D in training mode. D's u are updated.

    Returns:
      The gradients of this replica's share of the loss, one for each trainable variable of G; and
      its share of the means `G_METRICS` [1].
    """
    with tf.GradientTape() as tape:
        images = state.generator(draw.latents, draw.labels, training=True)
        images = _augmented(config, images, draw.fake_seeds)
        logits = state.discriminator(images, draw.labels, training=True)
        loss = tf.reduce_mean(get_loss(config.loss).generator(logits))
        total = loss / (config.g_accumulations * replicas)
    gradients = _gradients(tape, total, state.generator.trainable_variables)
    return gradients, tf.stack([loss]) / replicas


def apply_generator(
    state: TrainState, config: StepConfig, gradients: list[tf.Tensor], replicas: int
) -> None:
    """Applies the accumulated gradients and penalties to G with Adam, then clamps its sigma."""
    variables = state.generator.trainable_variables
    shared = state.generator.class_embedding
    penalties = _orthogonal_gradients(
        variables,
        config.g_orthogonal / replicas,
        config.g_orthogonal_form,
        lambda: kernel_matrices(state.generator, exclude=(shared,)),
    )
    state.g_optimizer.apply(added(gradients, penalties), variables)
    if config.g_sigma_clamp is not None:
        clamp_to(state.generator, config.g_sigma_clamp)
    if config.g_sigma_clamp_ratio is not None:
        clamp_to_second(state.generator, config.g_sigma_clamp_ratio, state.second_vectors)


def _gradients(tape, target, variables):
    values = [variable.value for variable in variables]
    gradients = tape.gradient(target, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def _orthogonal_gradients(variables, strength, form, matrices):
    """Returns the gradients of strength * penalty; None if the strength is 0.

    The matrices are a function because they must be formed under the tape.
    """
    if not strength:
        return None
    with tf.GradientTape() as tape:
        penalty = tf.add_n([ORTHOGONAL_PENALTIES[form](matrix) for matrix in matrices()])
        total = strength * penalty
    return _gradients(tape, total, variables)


def added(total: list[tf.Tensor], gradients: list[tf.Tensor] | None) -> list[tf.Tensor]:
    """`total` plus `gradients`, variable by variable; None adds nothing."""
    if gradients is None:
        return total
    return [a + b for a, b in zip(total, gradients, strict=True)]
