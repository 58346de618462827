"""The updates of discriminator and generator: gradients of the losses, and their application.

Every function runs in a replica. A loss is divided by the number of examples of the whole update,
over all accumulation steps and replicas. The optimiser adds the gradients of the replicas.
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

# The metrics of `discriminator_gradients` and `generator_gradients`, in this order.
D_METRICS = ("d_loss_real", "d_loss_fake", "d_real", "d_fake")
G_METRICS = ("g_loss",)


class RandomInputs(NamedTuple):
    """The random inputs of one accumulation step.

    Attributes:
      latents: Latent vectors [N, latent_dim].
      labels: Class indices [N] of the generated images; None if unconditional.
      fake_seeds, real_seeds: Seeds [N, 2] of the augmentation of generated and of real images; None
        without an augmentation.
    """

    latents: tf.Tensor
    labels: tf.Tensor | None
    fake_seeds: tf.Tensor | None = None
    real_seeds: tf.Tensor | None = None


class RealBatch(NamedTuple):
    """Real images [N, H, W, C] and their labels [N] (None if unconditional)."""

    images: tf.Tensor
    labels: tf.Tensor | None


def discriminator_gradients(
    state: TrainState, config: StepConfig, real: RealBatch, inputs: RandomInputs, replicas: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Returns the gradients of the discriminator's loss in one accumulation step.

    The generator's batch-norm statistics and the vectors u of both networks are updated.

    Args:
      state: The networks.
      config: The settings of the training step.
      real, inputs: The real images and the random inputs of this accumulation step.
      replicas: Number of replicas that run this function at the same time.

    Returns:
      The gradients of this replica's share of the loss, one for each trainable variable of the
      discriminator; and its share of the metrics `D_METRICS` [4].
    """
    fake = state.generator(inputs.latents, inputs.labels, training=True)
    with tf.GradientTape() as tape:
        loss, means = _discriminator_pass(state.discriminator, config, real, fake, inputs)
        total = loss / (config.d_accumulations * replicas)
    gradients = _gradients(tape, total, state.discriminator.trainable_variables)
    return gradients, tf.stack([means[name] for name in D_METRICS]) / replicas


def apply_discriminator(
    state: TrainState, config: StepConfig, gradients: list[tf.Tensor], replicas: int
) -> None:
    """Updates the discriminator with its accumulated gradients and its orthogonal penalty."""
    variables = state.discriminator.trainable_variables
    penalties = _orthogonal_gradients(
        variables,
        config.d_orthogonal / replicas,
        config.d_orthogonal_form,
        lambda: kernel_matrices(state.discriminator),
    )
    state.d_optimizer.apply(added(gradients, penalties), variables)


def _discriminator_pass(discriminator, config, real, fake, inputs):
    """Returns the mean loss with the R1 penalty, and the metrics by name."""
    watched = tf.identity(real.images)
    with tf.GradientTape(watch_accessed_variables=False) as image_tape:
        image_tape.watch(watched)
        real_logits, fake_logits = _logits(discriminator, config, watched, fake, real, inputs)
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


def _logits(discriminator, config, images, fake, real, inputs):
    fake = _augmented(config, fake, inputs.fake_seeds)
    images = _augmented(config, images, inputs.real_seeds)
    if config.split_d:
        fake_logits = discriminator(fake, inputs.labels, training=True)
        return discriminator(images, real.labels, training=True), fake_logits
    both = tf.concat([fake, tf.cast(images, fake.dtype)], axis=0)
    labels = None if inputs.labels is None else tf.concat([inputs.labels, real.labels], axis=0)
    logits = discriminator(both, labels, training=True)
    return logits[fake.shape[0] :], logits[: fake.shape[0]]


def _augmented(config, images, seeds):
    augment = get_augmentation(config.augmentation)
    return images if augment is None else augment(images, seeds)


def generator_gradients(
    state: TrainState, config: StepConfig, inputs: RandomInputs, replicas: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Returns the gradients of the generator's loss in one accumulation step.

    Both networks run in training mode, so the discriminator's vectors u are updated as well. The
    arguments are those of `discriminator_gradients`.

    Returns:
      The gradients of this replica's share of the loss, one for each trainable variable of the
      generator; and its share of the metrics `G_METRICS` [1].
    """
    with tf.GradientTape() as tape:
        images = state.generator(inputs.latents, inputs.labels, training=True)
        images = _augmented(config, images, inputs.fake_seeds)
        logits = state.discriminator(images, inputs.labels, training=True)
        loss = tf.reduce_mean(get_loss(config.loss).generator(logits))
        total = loss / (config.g_accumulations * replicas)
    gradients = _gradients(tape, total, state.generator.trainable_variables)
    return gradients, tf.stack([loss]) / replicas


def apply_generator(
    state: TrainState, config: StepConfig, gradients: list[tf.Tensor], replicas: int
) -> None:
    """Updates the generator with its gradients and orthogonal penalty, then clamps sigma."""
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
    """Returns `total` plus `gradients`, variable by variable; None counts as zeros."""
    if gradients is None:
        return total
    return [a + b for a, b in zip(total, gradients, strict=True)]
