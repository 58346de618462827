"""Keras's Adam optimiser with one operation for each variable instead of thirty."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_biggan.cli.train_settings import StepConfig


@keras.saving.register_keras_serializable(package="tf_biggan")
class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, which updates a variable with TensorFlow's `ResourceApplyAdam`.

    Results, slots and the names of slots are those of Keras's Adam: epsilon is added before the
    bias correction.
    """

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        # The powers of beta are the same for all variables, so they are computed once and passed on
        # together with the learning rate.
        dtype = trainable_variables[0].dtype
        step = tf.cast(self.iterations.value, dtype) + 1
        powers = [tf.pow(tf.constant(beta, dtype), step) for beta in (self.beta_1, self.beta_2)]
        scalars = tf.stack([tf.cast(learning_rate, dtype), *powers])
        super()._backend_update_step(grads, trainable_variables, scalars)

    def update_step(self, gradient, variable, learning_rate):
        scalars = tf.unstack(tf.cast(learning_rate, variable.dtype))
        rate, beta_1_power, beta_2_power = scalars
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=tf.constant(self.beta_1, variable.dtype),
            beta2=tf.constant(self.beta_2, variable.dtype),
            epsilon=tf.constant(self.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
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
