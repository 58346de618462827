"""Trains as the command does, in a process that a test can kill.

python -m tests.training.run_training RUN_DIR REPLICAS JSON_OF_SETTINGS

The setting "sgd": true replaces Adam by SGD, which does not amplify rounding errors. The setting
"quick_classifier": true scores with a classifier that is trained for moments.
"""

import functools
import json
import sys

import keras
import tensorflow as tf

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.evaluation.features import classifier
from tf_biggan.training import loop, start

LEARNING_RATE = 0.01


def main():
    run_dir, replicas, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * int(replicas)
    tf.config.set_logical_device_configuration(cpu, devices)
    if settings.pop("sgd", False):
        start.adam_optimizers = lambda config: [keras.optimizers.SGD(LEARNING_RATE) for _ in "gd"]
    if settings.pop("quick_classifier", False):
        quick = functools.partial(classifier.ClassifierSettings, channels=(8, 8), updates=(30, 30))
        classifier.ClassifierSettings = quick
    loop.train(TrainConfig.from_flat(settings), run_dir)


if __name__ == "__main__":
    main()
