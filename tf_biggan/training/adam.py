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
        # All variables share these numbers, so they are passed on in place of the learning rate.
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
