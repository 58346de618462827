"""The one place where layers meet `tf.distribute`: a mean over the replicas of a strategy.

Keras's own synchronized moments form E[x^2] - E[x]^2, which loses the variance of a large mean, and
take three all-reduces each; two-pass moments need a plain mean.
"""

from __future__ import annotations

import keras


def mean_over_replicas(value):
    """The mean of `value` over replicas that hold equal batches; gradients flow through it.

    Outside a strategy, on one replica, and on other backends than TensorFlow: `value` itself.
    """
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value) / context.num_replicas_in_sync
