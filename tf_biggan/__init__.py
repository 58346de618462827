"""BigGAN and BigGAN-deep for TensorFlow 2 and Keras 3.

Each public name is imported when it is first used, so that importing the package or running a
command with `--help` loads neither TensorFlow nor Keras. The first name that needs TensorFlow
imports it without start-up messages. Setting the environment variable TF_CPP_MIN_LOG_LEVEL to
another value than 3 shows these messages.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # For editors and type checkers only. Python uses the tables below.
    from tf_biggan.cli.convert_settings import ConvertConfig
    from tf_biggan.cli.evaluate_settings import EvaluateConfig
    from tf_biggan.cli.export_settings import ExportConfig
    from tf_biggan.cli.interpolate_settings import InterpolateConfig
    from tf_biggan.cli.invert_settings import InvertConfig
    from tf_biggan.cli.neighbours_settings import NeighboursConfig
    from tf_biggan.cli.prepare_settings import PrepareConfig
    from tf_biggan.cli.report_settings import ReportConfig
    from tf_biggan.cli.sample_settings import SampleConfig
    from tf_biggan.cli.train_settings import TrainConfig
    from tf_biggan.conversion.run_conversion import convert
    from tf_biggan.data.pipeline import make_dataset
    from tf_biggan.data.schemes import open_source
    from tf_biggan.data.tfrecord_writer import prepare
    from tf_biggan.evaluation.run_evaluation import evaluate
    from tf_biggan.exporting.exporter import export
    from tf_biggan.files.png import to_uint8
    from tf_biggan.generation.latents import latents, uniform_for_each
    from tf_biggan.networks.architectures import (
        ARCHITECTURES,
        Architecture,
        Trunk,
        architecture_for,
        double_resolution,
    )
    from tf_biggan.networks.discriminator import Discriminator
    from tf_biggan.networks.generator import Generator
    from tf_biggan.pictures.interpolations import interpolate
    from tf_biggan.pictures.inversions import invert_file as invert
    from tf_biggan.pictures.nearest_images import draw_neighbours as neighbours
    from tf_biggan.pictures.samples import sample
    from tf_biggan.reporting.run_report import report
    from tf_biggan.store.opened_model import open_model
    from tf_biggan.training.loop import train
    from tf_biggan.training.losses import LOSSES, AdversarialLoss
    from tf_biggan.training.state import update_ema

__version__ = "0.2.0.dev0"

# Maps each public name to its module and the attribute of this module.
_WITHOUT_TENSORFLOW = {
    "ARCHITECTURES": "tf_biggan.networks.architectures:ARCHITECTURES",
    "Architecture": "tf_biggan.networks.architectures:Architecture",
    "ConvertConfig": "tf_biggan.cli.convert_settings:ConvertConfig",
    "EvaluateConfig": "tf_biggan.cli.evaluate_settings:EvaluateConfig",
    "ExportConfig": "tf_biggan.cli.export_settings:ExportConfig",
    "InterpolateConfig": "tf_biggan.cli.interpolate_settings:InterpolateConfig",
    "InvertConfig": "tf_biggan.cli.invert_settings:InvertConfig",
    "NeighboursConfig": "tf_biggan.cli.neighbours_settings:NeighboursConfig",
    "PrepareConfig": "tf_biggan.cli.prepare_settings:PrepareConfig",
    "ReportConfig": "tf_biggan.cli.report_settings:ReportConfig",
    "SampleConfig": "tf_biggan.cli.sample_settings:SampleConfig",
    "TrainConfig": "tf_biggan.cli.train_settings:TrainConfig",
    "Trunk": "tf_biggan.networks.architectures:Trunk",
    "architecture_for": "tf_biggan.networks.architectures:architecture_for",
    "double_resolution": "tf_biggan.networks.architectures:double_resolution",
}
_WITH_TENSORFLOW = {
    "AdversarialLoss": "tf_biggan.training.losses:AdversarialLoss",
    "Discriminator": "tf_biggan.networks.discriminator:Discriminator",
    "Generator": "tf_biggan.networks.generator:Generator",
    "LOSSES": "tf_biggan.training.losses:LOSSES",
    "convert": "tf_biggan.conversion.run_conversion:convert",
    "evaluate": "tf_biggan.evaluation.run_evaluation:evaluate",
    "export": "tf_biggan.exporting.exporter:export",
    "interpolate": "tf_biggan.pictures.interpolations:interpolate",
    "invert": "tf_biggan.pictures.inversions:invert_file",
    "latents": "tf_biggan.generation.latents:latents",
    "make_dataset": "tf_biggan.data.pipeline:make_dataset",
    "neighbours": "tf_biggan.pictures.nearest_images:draw_neighbours",
    "open_model": "tf_biggan.store.opened_model:open_model",
    "open_source": "tf_biggan.data.schemes:open_source",
    "prepare": "tf_biggan.data.tfrecord_writer:prepare",
    "report": "tf_biggan.reporting.run_report:report",
    "sample": "tf_biggan.pictures.samples:sample",
    "to_uint8": "tf_biggan.files.png:to_uint8",
    "train": "tf_biggan.training.loop:train",
    "uniform_for_each": "tf_biggan.generation.latents:uniform_for_each",
    "update_ema": "tf_biggan.training.state:update_ema",
}
_HOMES = _WITHOUT_TENSORFLOW | _WITH_TENSORFLOW

__all__ = sorted(_HOMES)


class _Package(types.ModuleType):
    """Type of this package. It keeps a public function if a module has the same name.

    When the module `tf_biggan.train` is imported, Python sets the attribute `train` of the package
    to this module. The class ignores this, so that `tf_biggan.train` remains the function.
    """

    def __setattr__(self, name, value):
        if not (name in _HOMES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _WITH_TENSORFLOW:
        importlib.import_module("tf_biggan.cli.terminal").import_tensorflow_quietly()
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__():
    return sorted([*globals(), *_HOMES])
