"""Strategies by name: one device, several GPUs, several machines, a TPU."""

from __future__ import annotations

import os
from collections.abc import Callable

import tensorflow as tf

from tf_biggan import checks


def create_strategy(name: str, tpu: str | None = None) -> tf.distribute.Strategy:
    """The strategy of that name, connected.

    Args:
      name: "one_device", "mirrored" (all GPUs of this machine, or all its logical CPUs),
        "multi_worker" (machines of TF_CONFIG), "tpu", or "auto": the first of TPU, several
        machines and several GPUs that is there.
      tpu: name or address of a TPU, or "local".

    Raises:
      ValueError: there is no TPU, or no TF_CONFIG.
    """
    checks.require_choice("strategy", name, ("auto", *MAKERS))
    return MAKERS[_available(tpu) if name == "auto" else name](tpu)


def _available(tpu):
    if tpu is not None:
        return "tpu"
    if "TF_CONFIG" in os.environ:
        return "multi_worker"
    return "mirrored" if len(tf.config.list_logical_devices("GPU")) > 1 else "one_device"


def _mirrored(tpu):
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker(tpu):
    checks.require(
        "TF_CONFIG" in os.environ,
        "several machines need the environment variable TF_CONFIG on each of them",
        TF_CONFIG=None,
    )
    return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu(tpu):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu or "local")
        if tpu not in (None, "local"):
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(
            "A TPU needs a TPU machine with the tensorflow-tpu package, or --tpu with its name."
            f" Received: tpu={tpu!r}, where none answers."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


MAKERS: dict[str, Callable] = {
    "one_device": lambda tpu: tf.distribute.get_strategy(),
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
    "tpu": _tpu,
}


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files: all but the workers after the first."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict().get("worker"):
        return True
    return resolver.task_type in (None, "chief") or (
        resolver.task_type == "worker" and resolver.task_id == 0
    )


def may_compile(strategy: tf.distribute.Strategy) -> bool:
    """Whether XLA pays for a replica's step: on one GPU. A TPU compiles in any case."""
    gpus = tf.config.list_logical_devices("GPU")
    return strategy.num_replicas_in_sync == 1 and len(gpus) == 1
