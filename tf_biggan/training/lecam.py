"""Moving averages of the discriminator's logits, for LeCam regularisation."""

from __future__ import annotations

import tensorflow as tf

from tf_biggan.networks.layers.batch_norm import mean_over_replicas

# Averages of the logits of real and of generated images.
LogitAverages = tuple[tf.Variable, tf.Variable]


def logit_averages(dtype: str) -> LogitAverages:
    """Returns new averages. Create them in the scope of the strategy."""
    real, fake = (
        tf.Variable(
            0.0,
            dtype=dtype,
            trainable=False,
            name=f"average_logit_{kind}",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        for kind in ("real", "fake")
    )
    return real, fake


def update_logit_averages(
    averages: LogitAverages, real_logits: tf.Tensor, fake_logits: tf.Tensor, decay
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sets each average to decay * average + (1 - decay) * mean of the logits of all replicas.

    Args:
      averages: The result of `logit_averages`.
      real_logits, fake_logits: Logits of this replica, [N] each.
      decay: Scalar from 0 to 1.

    Returns:
      The new averages of (real, fake) logits. They are constants for the gradient.
    """
    moved = []
    for average, logits in zip(averages, (real_logits, fake_logits), strict=True):
        mean = mean_over_replicas(tf.reduce_mean(tf.stop_gradient(logits)))
        weight = tf.cast(decay, average.dtype)
        moved.append(weight * average + (1 - weight) * mean)
        average.assign(moved[-1])
    return tuple(moved)
