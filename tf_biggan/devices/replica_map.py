"""Runs a function of batches on all replicas of a strategy, from and to NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

# Strategies that list their devices. The default strategy does not.
NAMING_DEVICES = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.TPUStrategy,
)


class ReplicaMap:
    """Maps rows to rows in batches of a fixed size.

    Because every batch has the same size, the result of a row does not depend on other rows.

    Args:
      strategy: Strategy whose replicas run the function.
      function: Function from tensors [batch_size, ...] to a tensor, or a dict of tensors, with the
        same number of rows.
      batch_size: Batch size of each replica.

    Attributes:
      rows: Number of rows of one call, over all replicas.
    """

    def __init__(self, strategy: tf.distribute.Strategy, function: Callable, batch_size: int):
        self._strategy, self._batch_size = strategy, batch_size
        self.rows = batch_size * strategy.num_replicas_in_sync

        self._run = tf.function(lambda inputs: strategy.run(function, args=inputs))

    def __call__(self, *arrays: np.ndarray):
        """Returns the results of up to `rows` rows as NumPy arrays; shorter batches are padded."""
        count = len(arrays[0])
        missing = self.rows - count
        if missing:
            arrays = [np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for a in arrays]
        outputs = self._run(tuple(self._distributed(array) for array in arrays))
        return tf.nest.map_structure(lambda part: self._collected(part)[:count], outputs)

    def _collected(self, part):
        local = self._strategy.experimental_local_results(part)
        if len(local) < self._strategy.num_replicas_in_sync:
            # The other replicas are on other machines.
            return self._strategy.gather(part, axis=0).numpy()
        return np.concatenate([value.numpy() for value in local])

    def _distributed(self, array):
        size = self._batch_size

        def of_replica(context):
            start = context.replica_id_in_sync_group * size
            return tf.constant(array[start : start + size])

        return self._strategy.experimental_distribute_values_from_function(of_replica)


def runs_on_cpu(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether the replicas of a strategy run on the CPU."""
    return any("CPU" in name for name in device_paths(strategy))


def device_paths(strategy: tf.distribute.Strategy) -> tuple[str, ...]:
    """Returns TensorFlow's names of this process's devices that a strategy uses."""
    if isinstance(strategy, NAMING_DEVICES):
        return tuple(strategy.extended.worker_devices)
    # TensorFlow takes the first GPU, else the CPU.
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return (f"/device:{kind}:0",)


def spans_processes(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether other processes run the same program on parts of the same batches."""
    resolver = strategy.cluster_resolver
    if resolver is None or isinstance(strategy, tf.distribute.TPUStrategy):
        return False
    return sum(map(len, resolver.cluster_spec().as_dict().values())) > 1
