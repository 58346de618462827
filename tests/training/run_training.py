"""Trains as the command does, in a process of its own that a test may kill.

python -m tests.training.run_training RUN_DIR REPLICAS JSON_OF_SETTINGS
"""

import json
import sys

import tensorflow as tf

from tf_biggan.config import TrainConfig
from tf_biggan.training.loop import train


def main():
    run_dir, replicas, settings = sys.argv[1:]
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * int(replicas)
    tf.config.set_logical_device_configuration(cpu, devices)
    train(TrainConfig.from_flat(json.loads(settings)), run_dir)


if __name__ == "__main__":
    main()
