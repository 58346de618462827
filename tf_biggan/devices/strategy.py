"""Distribution strategies: one device, several GPUs, several machines, a TPU.

`create_strategy` creates them. `ReplicaMap` applies a function to NumPy arrays on all replicas of a
strategy.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.cluster import VARIABLE, cluster_from_environment, is_writer, shared_cluster

# Number of iterations that run without returning to Python. Each return makes a GPU or TPU wait.
CPU_CALL_LENGTH, ACCELERATOR_CALL_LENGTH = 1, 10
MULTI_WORKER = "multi_worker"
# Strategies that list their devices. The default strategy does not.
NAMING_DEVICES = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.TPUStrategy,
)
# Errors that a collective operation raises if another process does not take part in it.
LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnavailableError,
)
_TASK = re.compile(r"/job:(\w+)/replica:\d+/task:(\d+)")


def require_tensorflow(what: str) -> None:
    """Raises ValueError if Keras computes with another backend than TensorFlow.

    Args:
      what: Subject of the message, such as "training".
    """
    backend = keras.backend.backend()
    checks.require(
        backend == "tensorflow",
        f"{what} needs TensorFlow as the backend of Keras; set KERAS_BACKEND=tensorflow before"
        " Keras is imported. Other backends open models that were exported with"
        " --format=safetensors",
        backend=backend,
    )


def create_strategy(
    name: str, tpu: str | None = None, cpu_replicas: int | None = None
) -> tf.distribute.Strategy:
    """Returns a distribution strategy, connected to its machines or TPU.

    Args:
      name: "one_device"; "mirrored" (all GPUs of this machine, or all its logical CPUs if it has no
        GPU); "multi_worker" (the machines of TF_CONFIG); "tpu"; or "auto" (the TPU if `tpu` is
        given, else the machines of TF_CONFIG if it is set, else all GPUs if there are several, else
        one device).
      tpu: Name or address of a TPU, or "local".
      cpu_replicas: Number of replicas to create on the CPU, even if there are GPUs. Only for "auto"
        and "mirrored", without `tpu`.

    Raises:
      ValueError: No TPU answers. Or TF_CONFIG is missing or describes no cluster, or the cluster
        does not start. Or TF_CONFIG lists several processes, but the strategy is for one process.
        Or `cpu_replicas` does not suit `name` or `tpu`, or is given after TensorFlow has started.
    """
    checks.require_choice("strategy", name, ("auto", *MAKERS))
    if cpu_replicas is not None:
        _require_one_process(name)
        return _on_cpu(name, tpu, cpu_replicas)
    found = _available(tpu) if name == "auto" else name
    if found != MULTI_WORKER:
        _require_one_process(found)
    return MAKERS[found](tpu)


def _require_one_process(name: str) -> None:
    """Checks that a strategy for one process is not used by several processes of TF_CONFIG."""
    cluster = shared_cluster()
    checks.require(
        cluster is None,
        f"{VARIABLE} lists several processes, which would all write the same files; use"
        f" --strategy={MULTI_WORKER}, or unset {VARIABLE} to use this machine alone",
        strategy=name,
        processes=cluster and cluster.num_processes,
    )


def _available(tpu):
    if tpu is not None:
        return "tpu"
    if VARIABLE in os.environ:
        return MULTI_WORKER
    return "mirrored" if len(tf.config.list_logical_devices("GPU")) > 1 else "one_device"


def _mirrored(tpu):
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _on_cpu(name, tpu, count):
    checks.require(
        name in ("auto", "mirrored") and tpu is None,
        "`cpu_replicas` works only with --strategy=auto or --strategy=mirrored, and without"
        " --tpu; leave out one of these flags",
        strategy=name,
        tpu=tpu,
    )
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    if count > len(tf.config.get_logical_device_configuration(cpu) or (None,)):
        devices = [tf.config.LogicalDeviceConfiguration()] * count
        try:
            tf.config.set_logical_device_configuration(cpu, devices)
        except RuntimeError as error:
            raise ValueError(
                f"Cannot create {count} CPU replicas, because TensorFlow has started already."
                " Call create_strategy before any other function of TensorFlow."
            ) from error
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(count)])


def _multi_worker(tpu):
    cluster = cluster_from_environment()
    print(f"This process is {cluster.describe()}. Waiting for all processes.", file=sys.stderr)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster.addresses),
        task_type=cluster.task_type,
        task_id=cluster.task_index,
        rpc_layer="grpc",
        # Listing logical devices would start TensorFlow before the cluster is configured.
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except (tf.errors.OpError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"The cluster of {VARIABLE} did not start: {reason}. This process is"
            f" {cluster.describe()}. Check that no other program uses its port, and start the same"
            f" command on every machine that {VARIABLE} lists."
        ) from error


def _tpu(tpu):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu or "local")
        if tpu not in (None, "local"):
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(
            f"No TPU answers. Received: tpu={tpu!r}. Run on a TPU machine with the package"
            " tensorflow-tpu, or give the name of a TPU by --tpu."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


MAKERS: dict[str, Callable] = {
    "one_device": lambda tpu: tf.distribute.get_strategy(),
    "mirrored": _mirrored,
    MULTI_WORKER: _multi_worker,
    "tpu": _tpu,
}


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process writes the files of the run.

    With the strategy "multi_worker", the chief of TF_CONFIG writes them, or worker 0 if there is no
    chief. All other strategies, including those for TPUs, have a single process.
    """
    if not spans_processes(strategy):
        return True
    resolver = strategy.cluster_resolver
    return is_writer(resolver.cluster_spec().as_dict(), resolver.task_type, resolver.task_id)


def any_process(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Returns whether `flag` is true in any process. All processes must call this function."""
    return _mean(strategy, float(flag)) > 0 if spans_processes(strategy) else flag


def require_same(strategy: tf.distribute.Strategy, value: int, rule: str, **given: object) -> None:
    """Checks that `value` is the same in all processes. All processes must call this function.

    Args:
      strategy: Distribution strategy that connects the processes.
      value: Number to compare, below 2**32.
      rule: Error message, which says what must be the same in all processes, and what to do.
      **given: Values that the error message shows.

    Raises:
      ValueError: The values differ.
    """
    if spans_processes(strategy):
        differs = _mean(strategy, float(value)) != value
        checks.require(not any_process(strategy, differs), rule, **given)


def require_same_iteration(strategy: tf.distribute.Strategy, iteration: int, run_dir: str) -> None:
    """Checks that all processes start at the same iteration. All processes must call it.

    Raises:
      ValueError: The iterations differ, because the processes do not share the folder of the run.
    """
    require_same(
        strategy,
        iteration,
        "all machines must start at the same iteration; give them the same `run_dir` on a"
        " file system that they share",
        iteration_here=iteration,
        run_dir=run_dir,
    )


def of_writer(strategy: tf.distribute.Strategy, array: np.ndarray) -> np.ndarray:
    """Returns the array of the process that writes files. All processes must call it.

    Args:
      strategy: Distribution strategy that connects the processes.
      array: Array of this process, of the same shape and type in all of them.
    """
    if not spans_processes(strategy):
        return array
    rows = strategy.run(lambda: tf.constant(array)[tf.newaxis])
    # Replica 0 belongs to the chief, or to worker 0 if there is no chief.
    return strategy.gather(rows, axis=0)[0].numpy()


@contextlib.contextmanager
def naming_lost_processes(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Returns a context in which the loss of another process raises an error of one line.

    Raises:
      ValueError: Another process has ended, stands still or cannot be reached.
    """
    try:
        yield
    except LOST as error:
        if not spans_processes(strategy):
            raise
        raise ValueError(_lost(strategy, str(error))) from error


def _lost(strategy: tf.distribute.Strategy, reason: str) -> str:
    """Returns the message about lost processes. TensorFlow's `reason` names these processes."""
    resolver = strategy.cluster_resolver
    here = f"{resolver.task_type} {resolver.task_id}"
    found = sorted({f"{kind} {index}" for kind, index in _TASK.findall(reason)} - {here})
    return (
        f"Lost {' and '.join(found) or 'another process'} of {VARIABLE}: it ended, stood still for"
        " several seconds, or cannot be reached. Read its messages, then start the same command on"
        " every machine again; a run resumes from its newest checkpoint."
    )


def _mean(strategy: tf.distribute.Strategy, value: float) -> float:
    """Returns the mean over all replicas of all processes."""
    return float(_reduced(strategy, tf.constant(value, tf.float64)))


# If this function were defined inside `_mean`, TensorFlow would trace it at every call.
@tf.function
def _reduced(strategy, number):
    values = strategy.run(lambda: tf.identity(number))
    return strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None)


def may_compile(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether to compile the training step with XLA, which is faster only on one GPU."""
    gpus = tf.config.list_logical_devices("GPU")
    return strategy.num_replicas_in_sync == 1 and len(gpus) == 1


def default_call_length(strategy: tf.distribute.Strategy) -> int:
    """Returns how many iterations run in TensorFlow before the program returns to Python.

    Every process of a cluster must run the same number of iterations, so the number depends on the
    kind of device alone.
    """
    return CPU_CALL_LENGTH if runs_on_cpu(strategy) else ACCELERATOR_CALL_LENGTH


class ReplicaMap:
    """Applies a function to the rows of arrays, in batches of a fixed size on all replicas.

    Every batch has the same size, so that the number of rows of a call does not change how a row
    is computed.

    Args:
      strategy: Strategy whose replicas run the function.
      function: Takes tensors [batch_size, ...]. Returns a tensor, or a dict of tensors, with
        `batch_size` rows.
      batch_size: Batch size of each replica.

    Attributes:
      rows: Largest number of rows in one call: the batch sizes of all replicas together.
    """

    def __init__(self, strategy: tf.distribute.Strategy, function: Callable, batch_size: int):
        self._strategy, self._batch_size = strategy, batch_size
        self.rows = batch_size * strategy.num_replicas_in_sync

        # The graph, which is traced once, also gathers the rows of replicas on other machines.
        gathers = spans_processes(strategy)

        def run(inputs):
            outputs = strategy.run(function, args=inputs)
            if gathers:
                return tf.nest.map_structure(lambda part: strategy.gather(part, axis=0), outputs)
            return outputs

        self._run = tf.function(run)

    def __call__(self, *arrays: np.ndarray):
        """Returns the function's results for up to `rows` rows as NumPy arrays.

        Fewer rows are padded to full batches, and the results of the padding are dropped.
        """
        count = len(arrays[0])
        missing = self.rows - count
        if missing:
            arrays = [np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for a in arrays]
        outputs = self._run(tuple(self._distributed(array) for array in arrays))
        return tf.nest.map_structure(lambda part: self._collected(part)[:count], outputs)

    def _collected(self, part):
        local = self._strategy.experimental_local_results(part)
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
    """Returns TensorFlow's names of the devices that a strategy uses in this process."""
    if isinstance(strategy, NAMING_DEVICES):
        return tuple(strategy.extended.worker_devices)
    # The default strategy uses the first GPU, or the CPU if there is no GPU.
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return (f"/device:{kind}:0",)


def spans_processes(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether other processes run the same program on parts of the same batches."""
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return False
    return num_hosts(strategy) > 1


def num_hosts(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of hosts, each of which reads its own part of every batch of images."""
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return strategy.extended.num_hosts
    resolver = strategy.cluster_resolver
    return 1 if resolver is None else sum(map(len, resolver.cluster_spec().as_dict().values()))
