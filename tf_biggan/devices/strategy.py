"""Creates distribution strategies: one device, several GPUs, several machines, a TPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import tensorflow as tf

from tf_biggan import checks
from tf_biggan.devices.cluster import VARIABLE, cluster_from_environment, is_writer
from tf_biggan.devices.replica_map import runs_on_cpu, spans_processes

# Iterations that run without returning to Python. A GPU or TPU would wait for Python after each.
CPU_CALL_LENGTH, ACCELERATOR_CALL_LENGTH = 1, 10


def create_strategy(
    name: str, tpu: str | None = None, cpu_replicas: int | None = None
) -> tf.distribute.Strategy:
    """Returns a distribution strategy, connected to its machines or TPU.

    Args:
      name: "one_device", "mirrored" (all GPUs of this machine, or all its logical CPUs),
        "multi_worker" (machines of TF_CONFIG), "tpu", or "auto": the first of TPU, several
        machines, several GPUs and one device that is available.
      tpu: Name or address of a TPU, or "local".
      cpu_replicas: Number of replicas on the CPU instead of GPUs, for "auto" or "mirrored".

    Raises:
      ValueError: There is no TPU, TF_CONFIG is missing or describes no cluster, or `cpu_replicas`
        cannot be combined with the strategy.
    """
    checks.require_choice("strategy", name, ("auto", *MAKERS))
    if cpu_replicas is not None:
        return _on_cpu(name, tpu, cpu_replicas)
    return MAKERS[_available(tpu) if name == "auto" else name](tpu)


def require_whole_cluster(strategy: tf.distribute.Strategy) -> None:
    """Checks that a strategy for one process is not used by several processes of TF_CONFIG.

    Raises:
      ValueError: All of the processes would train and write the same run.
    """
    if spans_processes(strategy) or VARIABLE not in os.environ:
        return
    try:
        cluster = cluster_from_environment()
    except ValueError:
        return  # Strategies other than multi_worker ignore TF_CONFIG.
    checks.require(
        cluster.num_processes == 1,
        f"{VARIABLE} lists {cluster.num_processes} processes, which would all write the same run;"
        f" use --strategy=multi_worker, or unset {VARIABLE} to train on this machine alone",
        strategy=type(strategy).__name__,
    )


def _available(tpu):
    if tpu is not None:
        return "tpu"
    if VARIABLE in os.environ:
        return "multi_worker"
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
    print(f"This process is {cluster.describe()}. Waiting for all of them.", file=sys.stderr)
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
        raise ValueError(
            f"The cluster of {VARIABLE} did not start: {str(error).splitlines()[0]} This"
            f" process is {cluster.describe()}. Start the same command on every machine that"
            f" {VARIABLE} lists."
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
    "multi_worker": _multi_worker,
    "tpu": _tpu,
}


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process writes the files of the run.

    Of the processes of TF_CONFIG, the chief or the first worker does. All other strategies,
    including those for TPUs, have a single process.
    """
    if not spans_processes(strategy):
        return True
    resolver = strategy.cluster_resolver
    return is_writer(resolver.cluster_spec().as_dict(), resolver.task_type, resolver.task_id)


def any_process(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Returns whether `flag` is true in any process. All processes call it at the same point."""
    return _mean(strategy, float(flag)) > 0 if spans_processes(strategy) else flag


def require_same_iteration(strategy: tf.distribute.Strategy, iteration: int, run_dir: str) -> None:
    """Checks that all processes start at the same iteration. All processes must call it.

    Raises:
      ValueError: They do not, because they do not share the folder of the run.
    """
    if not spans_processes(strategy):
        return
    checks.require(
        _mean(strategy, float(iteration)) == iteration,
        "all machines must start at the same iteration; give them the same `run_dir` on a"
        " file system that they share",
        iteration_here=iteration,
        run_dir=run_dir,
    )


def _mean(strategy: tf.distribute.Strategy, value: float) -> float:
    """Returns the mean over all replicas of all processes."""

    @tf.function
    def mean(number):
        values = strategy.run(lambda: tf.identity(number))
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None)

    return float(mean(tf.constant(value, tf.float64)))


def may_compile(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether to compile the training step with XLA, which is faster on one GPU only."""
    gpus = tf.config.list_logical_devices("GPU")
    return strategy.num_replicas_in_sync == 1 and len(gpus) == 1


def default_call_length(strategy: tf.distribute.Strategy) -> int:
    """Returns how many iterations run in TensorFlow before the program returns to Python.

    Every process of a cluster must run the same number, so it depends on the kind of device alone.
    """
    return CPU_CALL_LENGTH if runs_on_cpu(strategy) else ACCELERATOR_CALL_LENGTH
