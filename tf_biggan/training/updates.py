"""The updates of discriminator and generator: gradients of the losses, and their application.

The functions run inside a replica. A loss is divided by the number of examples of the whole update,
over all accumulation steps and replicas. The optimiser adds up the gradients of the replicas.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import tensorflow as tf

from tf_biggan.cli.train_settings import StepConfig
from tf_biggan.generation.latents import normal_for_each, seeds_for
from tf_biggan.training import augmentation
from tf_biggan.training.losses import (
    ORTHOGONAL_PENALTIES,
    consistency_penalty,
    get_loss,
    kernel_matrices,
    lecam_penalty,
    r1_penalty,
)
from tf_biggan.training.state import (
    TrainState,
    clamp_to,
    clamp_to_second,
    ema_decay,
    update_logit_averages,
)

# Metrics of every run.
D_METRICS = ("d_loss_real", "d_loss_fake", "d_real", "d_fake")
G_METRICS = ("g_loss",)
# Further metrics, each of which is a penalty times its weight, and the settings of the weights. A
# penalty is a metric only if its weight is not 0.
D_PENALTIES = {
    "d_r1": "r1_gamma",
    "d_lecam": "lecam_weight",
    "d_bcr_real": "bcr_real_weight",
    "d_bcr_fake": "bcr_fake_weight",
    "d_zcr": "zcr_d_weight",
}
G_PENALTIES = {"g_zcr": "zcr_g_weight"}
# Purposes for `seeds_for`. The user's own augmentation takes the seeds themselves, purpose 0.
DIFF_AUGMENT_SEEDS, BCR_SEEDS, NOISE_SEEDS = 1, 2, 3
# Each consistency penalty of the discriminator, and the two batches whose logits it compares.
CONSISTENCY = (
    ("d_bcr_real", "real", "real_augmented"),
    ("d_bcr_fake", "fake", "fake_augmented"),
    ("d_zcr", "fake", "fake_nearby"),
)


class RandomInputs(NamedTuple):
    """The random inputs of one accumulation step.

    Attributes:
      latents: Latent vectors [N, latent_dim].
      labels: Classes [N] or class weights [N, num_classes] of the generated images; None if
        unconditional.
      fake_seeds, real_seeds: Seeds [N, 2] of the random numbers for each generated and each real
        image; None if the settings need none.
    """

    latents: tf.Tensor
    labels: tf.Tensor | None
    fake_seeds: tf.Tensor | None = None
    real_seeds: tf.Tensor | None = None


class RealBatch(NamedTuple):
    """Real images [N, H, W, C] and their classes [N] or class weights (None if unconditional)."""

    images: tf.Tensor
    labels: tf.Tensor | None


def discriminator_metrics(config: StepConfig) -> tuple[str, ...]:
    """Returns the names of the metrics of `discriminator_gradients`, in their order."""
    return (*D_METRICS, *_used(D_PENALTIES, config))


def generator_metrics(config: StepConfig) -> tuple[str, ...]:
    """Returns the names of the metrics of `generator_gradients`, in their order."""
    return (*G_METRICS, *_used(G_PENALTIES, config))


def _used(penalties, config):
    return (name for name, weight in penalties.items() if getattr(config, weight))


def discriminator_gradients(
    state: TrainState, config: StepConfig, real: RealBatch, inputs: RandomInputs, replicas: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Returns the gradients of the discriminator's loss in one accumulation step.

    The call also updates the generator's batch-norm statistics, the vectors u of both networks and,
    with LeCam regularisation, the moving averages of the logits.

    Args:
      state: The state of the run.
      config: The settings of the training step.
      real, inputs: The real images and the random inputs of this accumulation step.
      replicas: Number of replicas that run this function at the same time.

    Returns:
      (gradients of this replica's share of the loss, one for each trainable variable of the
      discriminator; this replica's share of the metrics [M], in the order of
      `discriminator_metrics`).
    """
    fake = state.generator(inputs.latents, inputs.labels, training=True)
    nearby = _nearby_images(state.generator, config, inputs) if config.zcr_d_weight else None
    averages = None
    if state.logit_averages:
        # During the first iteration, `state.iteration` is 0, and therefore the decay too: every
        # accumulation step replaces the averages by the mean logits of its own images.
        averages = state.logit_averages, ema_decay(state.iteration, config.lecam_decay, start=1)
    with tf.GradientTape() as tape:
        loss, means = _discriminator_pass(
            state.discriminator, config, real, fake, inputs, nearby, averages
        )
        total = loss / (config.d_accumulations * replicas)
    gradients = _gradients(tape, total, state.discriminator.trainable_variables)
    return gradients, tf.stack([means[name] for name in discriminator_metrics(config)]) / replicas


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


def _discriminator_pass(
    discriminator, config, real, fake, inputs, nearby=None, averages=None
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Returns the mean loss with its penalties, and the metrics by name.

    Args:
      discriminator, config, real, inputs: As for `discriminator_gradients`.
      fake: Generated images.
      nearby: Images of the latent vectors of `fake` plus zCR's noise; None without zCR.
      averages: The moving averages of the logits and their decay; None without LeCam.
    """
    watched = tf.identity(real.images)
    with tf.GradientTape(watch_accessed_variables=False) as image_tape:
        image_tape.watch(watched)
        images = _discriminator_images(config, watched, fake, nearby, inputs)
        logits = _logits(discriminator, config, images, real.labels, inputs.labels)
        real_logits, fake_logits = logits["real"], logits["fake"]
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
        means["d_r1"] = config.r1_gamma * tf.reduce_mean(r1_penalty(slopes))
        loss += means["d_r1"]
    if averages is not None:
        moved = update_logit_averages(averages[0], real_logits, fake_logits, averages[1])
        means["d_lecam"] = config.lecam_weight * lecam_penalty(real_logits, fake_logits, *moved)
        loss += means["d_lecam"]
    for name, first, second in CONSISTENCY:
        if second in logits:
            penalty = consistency_penalty(logits[first], logits[second])
            means[name] = getattr(config, D_PENALTIES[name]) * penalty
            loss += means[name]
    return loss, means


def _discriminator_images(config, real, fake, nearby, inputs) -> dict[str, tf.Tensor]:
    """Returns the batches of images that the discriminator sees, by name; see `CONSISTENCY`."""
    images = {
        "fake": _augmented(config, fake, inputs.fake_seeds),
        "real": _augmented(config, real, inputs.real_seeds),
    }
    seeds = {"fake": inputs.fake_seeds, "real": inputs.real_seeds}
    for kind, weight in (("fake", config.bcr_fake_weight), ("real", config.bcr_real_weight)):
        if weight:
            images[f"{kind}_augmented"] = augmentation.augment(
                images[kind], seeds_for(seeds[kind], BCR_SEEDS), config.bcr_augment
            )
    if nearby is not None:
        # Both batches have the same seeds, so that only the latent vectors differ.
        images["fake_nearby"] = _augmented(config, nearby, inputs.fake_seeds)
    return images


def _logits(discriminator, config, images, real_labels, fake_labels) -> dict[str, tf.Tensor]:
    """Returns the logits of all batches by name.

    They come from one pass over all batches or, with `split_d`, from one pass for each batch.
    """
    labels = [real_labels if name.startswith("real") else fake_labels for name in images]
    if config.split_d:
        pairs = zip(images, images.values(), labels, strict=True)
        return {name: discriminator(batch, y, training=True) for name, batch, y in pairs}
    dtype = images["fake"].dtype
    together = tf.concat([tf.cast(batch, dtype) for batch in images.values()], axis=0)
    labels = None if fake_labels is None else tf.concat(labels, axis=0)
    logits = discriminator(together, labels, training=True)
    parts, start = {}, 0
    for name, batch in images.items():
        parts[name] = logits[start : start + batch.shape[0]]
        start += batch.shape[0]
    return parts


def _augmented(config, images, seeds):
    augment = augmentation.get_augmentation(config.augmentation)
    if augment is not None:
        images = augment(images, seeds)
    if config.diff_augment is not None:
        images = augmentation.augment(
            images, seeds_for(seeds, DIFF_AUGMENT_SEEDS), config.diff_augment
        )
    return images


def _nearby_images(generator, config, inputs):
    """Returns generated images of the latent vectors plus zCR's noise."""
    seeds = seeds_for(inputs.fake_seeds, NOISE_SEEDS)
    noise = normal_for_each(seeds, inputs.latents.shape[1])
    nearby = inputs.latents + config.zcr_sigma * tf.cast(noise, inputs.latents.dtype)
    return generator(nearby, inputs.labels, training=True)


def generator_gradients(
    state: TrainState, config: StepConfig, inputs: RandomInputs, replicas: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Returns the gradients of the generator's loss in one accumulation step.

    Both networks run in training mode, so the discriminator's vectors u are updated as well. See
    `discriminator_gradients` for the arguments.

    Returns:
      (gradients of this replica's share of the loss, one for each trainable variable of the
      generator; this replica's share of the metrics [M], in the order of `generator_metrics`).
    """
    with tf.GradientTape() as tape:
        images = state.generator(inputs.latents, inputs.labels, training=True)
        shown = _augmented(config, images, inputs.fake_seeds)
        logits = state.discriminator(shown, inputs.labels, training=True)
        loss = tf.reduce_mean(get_loss(config.loss).generator(logits))
        metrics = [loss]
        total = loss / (config.g_accumulations * replicas)
        if config.zcr_g_weight:
            nearby = _nearby_images(state.generator, config, inputs)
            reward = config.zcr_g_weight * consistency_penalty(images, nearby)
            total -= reward / (config.g_accumulations * replicas)
            metrics.append(reward)
    gradients = _gradients(tape, total, state.generator.trainable_variables)
    return gradients, tf.stack(metrics) / replicas


def apply_generator(
    state: TrainState, config: StepConfig, gradients: list[tf.Tensor], replicas: int
) -> None:
    """Updates the generator with its gradients and orthogonal penalty.

    Then singular values are clamped if the settings ask for it.
    """
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

    `matrices` is a function that returns the kernel matrices, because the tape must record how they
    are computed from the variables.
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


@keras.saving.register_keras_serializable(package="tf_biggan")
class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, computed by one TensorFlow operation (`ResourceApplyAdam`) for each variable.

    The slots and their names are those of Keras's Adam, and the results are the same up to
    rounding. Like Keras, the operation adds epsilon before the bias correction.
    """

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        # These numbers are the same for all variables. They are computed once and passed on in
        # place of the learning rate.
        dtype = trainable_variables[0].dtype
        step = tf.cast(self.iterations.value, dtype) + 1
        betas = {f"beta{i}": tf.constant(b, dtype) for i, b in ((1, self.beta_1), (2, self.beta_2))}
        shared = {
            **betas,
            **{f"{name}_power": tf.pow(beta, step) for name, beta in betas.items()},
            "lr": tf.cast(learning_rate, dtype),
            "epsilon": tf.constant(self.epsilon, dtype),
        }
        super()._backend_update_step(grads, trainable_variables, shared)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            grad=tf.cast(gradient, variable.dtype),
            **learning_rate,
        )


def adam_optimizers(config: StepConfig) -> tuple[FusedAdam, FusedAdam]:
    """Returns the Adam optimisers of the generator and of the discriminator."""
    return tuple(
        FusedAdam(
            learning_rate=getattr(config, f"{side}_learning_rate"),
            beta_1=getattr(config, f"{side}_beta_1"),
            beta_2=getattr(config, f"{side}_beta_2"),
            epsilon=config.adam_epsilon,
            name=f"{side}_adam",
        )
        for side in "gd"
    )
