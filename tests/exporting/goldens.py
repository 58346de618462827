"""The models of the pytorch-pretrained-BigGAN fixtures as model folders and as exports."""

from __future__ import annotations

import pathlib

from tests.golden_files import golden
from tests.networks.test_network_goldens_huggingface import ARCHITECTURES
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.conversion import deepmind
from tf_biggan.exporting.exporter import export
from tf_biggan.store.model_directory import write_directory

NAME = "class {}, bird {}"


def write_model(name: str, folder: pathlib.Path) -> str:
    """Writes a converted fixture with class names and returns its folder."""
    fixture, path = golden(name), str(folder / f"{name}_model")
    config = fixture.info["config"]
    generator = deepmind.generator(
        ARCHITECTURES[name], config["num_classes"], base_channels=config["channel_width"]
    )
    deepmind.load_generator(generator, fixture.weights(""))
    names = tuple(NAME.format(number, number) for number in range(config["num_classes"]))
    write_directory(path, {"generator": generator}, names, {"family": "pytorch_pretrained_biggan"})
    return path


def exported(name: str, folder: pathlib.Path, **settings) -> str:
    """Exports a fixture and returns its folder."""
    output = str(folder / name / "1")
    export(ExportConfig(model=write_model(name, folder), output=output, **settings))
    return output
