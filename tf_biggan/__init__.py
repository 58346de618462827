"""BigGAN and BigGAN-deep for TensorFlow 2 and Keras 3.

Public names are resolved when they are first used, so that importing the package, or asking a
command for `--help`, loads neither TensorFlow nor Keras.
"""

import importlib

_HOMES = {
    "ARCHITECTURES": "tf_biggan.networks.architectures",
    "Architecture": "tf_biggan.networks.architectures",
    "Trunk": "tf_biggan.networks.architectures",
    "architecture_for": "tf_biggan.networks.architectures",
    "double_resolution": "tf_biggan.networks.architectures",
    "Discriminator": "tf_biggan.networks.discriminator",
    "Generator": "tf_biggan.networks.generator",
    "LOSSES": "tf_biggan.training.losses",
}

__all__ = sorted(_HOMES)
__version__ = "0.1.0"


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *_HOMES])
