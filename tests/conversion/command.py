"""Runs the convert command in this process, and writes files in the formats of other code bases."""

from __future__ import annotations

import collections
import json
import pathlib

import numpy as np
import torch
from absl import flags

from tf_biggan.cli.convert_settings import ConvertConfig
from tf_biggan.cli.flags import define, parsed
from tf_biggan.conversion.run_conversion import convert
from tf_biggan.store.model_directory import load_network, read_directory


def run(**values) -> None:
    """Does what `python -m tf_biggan.convert` does with the given flags, in this process."""
    flag_values = flags.FlagValues()
    define(ConvertConfig, flag_values)
    flag_values(["convert", *(f"--{name}={value}" for name, value in values.items())])
    convert(parsed(ConvertConfig, flag_values))


def converted(path: pathlib.Path, output: pathlib.Path, **values) -> tuple[dict, dict]:
    """Converts `path` to `output` and returns (networks by name, provenance)."""
    run(input=path, output=output, **values)
    directory = read_directory(str(output))
    networks = {name: load_network(directory, name) for name in directory.networks}
    return networks, directory.provenance


def torch_tensors(tensors) -> collections.OrderedDict:
    """Returns NumPy arrays as a PyTorch state_dict."""
    return collections.OrderedDict((k, torch.from_numpy(np.array(v))) for k, v in tensors.items())


def save(tensors, path: pathlib.Path, older: bool = False) -> pathlib.Path:
    """Saves a dictionary with torch.save; with `older`, in the format before PyTorch 1.6."""
    torch.save(tensors, path, _use_new_zipfile_serialization=not older)
    return path


def save_json(values, path: pathlib.Path) -> None:
    """Writes a value as JSON."""
    path.write_text(json.dumps(values))
