"""Session set-up: two logical CPU devices, so that tests with two replicas run on any machine."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# NumPy's threads wait for one another if several test processes share the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

from tf_biggan.cli.terminal import quiet_tensorflow

# The first import of TensorFlow prints lines, which would appear among the results of pytest.
quiet_tensorflow()

import tensorflow as tf  # noqa: E402

# Imported objects are never freed, so garbage collections need not visit them. Building graphs
# makes so many objects that collections at Python's usual pace take a seventh of the tests' time.
gc.freeze()
gc.set_threshold(50_000, 20, 50)

# The files that take half a minute or more start first, so that no process has to run one of them
# alone at the end.
LONGEST_FILES = (
    "test_train_step.py",
    "test_conformance.py",
    "test_loop_resume.py",
    "test_train_step_goldens.py",
    "test_loop.py",
    "test_network_goldens_biggan_pytorch.py",
    "test_architectures.py",
    "test_initialization.py",
)

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(scope="session")
def mirrored_strategy():
    """Returns a strategy with two replicas on two logical CPU devices."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def eagerly():
    """Functions run without graphs, whose tracing takes longer than a few iterations."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def pytest_collection_modifyitems(items):
    """Moves the longest files to the start. The tests of a file keep their order."""
    rank = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
