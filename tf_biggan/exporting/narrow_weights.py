"""The weights that an export stores: kernels in a dtype of half the size, widened in the graph."""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_biggan.exporting.folding import KERNEL


class StoredWeights:
    """TensorFlow variables that stand in for those of a network.

    Attributes:
      variables: all of them; of a network in float32 its very own.
      trainable: those that the network trains.
    """

    def __init__(self, network: keras.Model, dtype: str):
        self._pairs = [(v, _stored(v, dtype)) for v in network.variables]
        self.variables = [stored for _, stored in self._pairs]
        self.trainable = [stored for v, stored in self._pairs if v.trainable]

    def scope(self) -> keras.StatelessScope:
        """Inside of it the network computes from the stored variables."""
        return keras.StatelessScope([(v, tf.cast(stored, v.dtype)) for v, stored in self._pairs])


def _stored(variable, dtype):
    is_kernel = KERNEL in variable.path and len(variable.shape) > 1
    if dtype == variable.dtype or not is_kernel:
        return variable.value
    return tf.Variable(tf.cast(variable.value, dtype), trainable=variable.trainable)
