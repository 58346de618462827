"""Session set-up: two logical CPU devices, so that replica tests run anywhere."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Threads of NumPy's products wait for one another in turns where several test processes run.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

from tf_biggan.cli.terminal import quiet_tensorflow

# The first import prints lines that pytest's own processes would show among the results.
quiet_tensorflow()

import tensorflow as tf  # noqa: E402

# What was imported stays: no collection needs to walk through it again.
gc.freeze()

# Files of half a minute and more begin first: no process is left with one of them at the end.
LONGEST_FILES = (
    "test_train_step.py",
    "test_conformance.py",
    "test_resume.py",
    "test_goldens_traces.py",
    "test_loop.py",
    "test_goldens_authors.py",
    "test_architectures.py",
    "test_initialization.py",
)

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(scope="session")
def mirrored_strategy():
    """Two replicas on two logical CPU devices."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def eagerly():
    """Functions run without graphs, whose tracing takes longer than a few iterations."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def pytest_collection_modifyitems(items):
    """Orders the files; tests of one file keep their order."""
    rank = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
