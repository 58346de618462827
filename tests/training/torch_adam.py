"""Adam with epsilon added after the bias correction of the second moment, as in PyTorch."""

from __future__ import annotations

import keras
from keras import ops


class TorchAdam(keras.optimizers.Adam):
    """p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)."""

    def update_step(self, gradient, variable, learning_rate):
        step = ops.cast(self.iterations + 1, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        m.assign(self.beta_1 * m + (1 - self.beta_1) * gradient)
        v.assign(self.beta_2 * v + (1 - self.beta_2) * ops.square(gradient))
        corrected = ops.sqrt(v) / ops.sqrt(1 - ops.power(ops.cast(self.beta_2, v.dtype), step))
        scale = rate / (1 - ops.power(ops.cast(self.beta_1, v.dtype), step))
        variable.assign(variable - scale * m / (corrected + self.epsilon))
