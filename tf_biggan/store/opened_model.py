"""Opens the generator of a run, of a converted model or of an exported SavedModel."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from tf_biggan import checks
from tf_biggan.networks.generator import Generator
from tf_biggan.store.model_directory import is_model_directory, load_network, read_directory
from tf_biggan.store.run_directory import is_run, read_class_names
from tf_biggan.store.run_networks import restore_networks
from tf_biggan.store.saved_models import SavedModelGenerator, is_saved_model

KINDS = "a run, a converted model or an exported SavedModel"


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A generator that was loaded from disk.

    Attributes:
      generator: The generator, called as `generator(z, labels, truncation=...)`. A
        `SavedModelGenerator` cannot be copied, and its batch-norm statistics cannot be recomputed.
      class_names: One name for each class, or empty if the names are unknown.
      kind: "run", "model" (a converted model) or "saved_model".
      description: JSON values that identify the model, such as its path, weights and iteration.
    """

    generator: Generator | SavedModelGenerator
    class_names: tuple[str, ...]
    kind: str
    description: Mapping[str, object]


def open_model(path: str, *, raw: bool = False, iteration: int | None = None) -> OpenedModel:
    """Returns the generator in a folder. The kind of model is detected from the folder's files.

    Args:
      path: Folder of a run, of a converted model or of a SavedModel.
      raw: Whether to load the generator in training instead of its moving average. Only for runs.
      iteration: Iteration of the checkpoint to load, or None for the newest that can be read. Only
        for runs.

    Raises:
      ValueError: The folder holds no model, the model is damaged, or `raw` or `iteration` is given
        and the folder is not a run.
    """
    checks.require_existing("model", path, f"the folder of {KINDS}")
    checks.require(os.path.isdir(path), f"--model must be the folder of {KINDS}", model=path)
    if is_run(path):
        return _of_run(path, raw, iteration)
    checks.require(
        not raw and iteration is None,
        "--raw and --iteration choose weights of a run, and this is not a run; leave them out",
        path=path,
    )
    if is_model_directory(path):
        directory = read_directory(path)
        generator = load_network(directory, "generator")
        description = {"path": path, "kind": "model", "provenance": dict(directory.provenance)}
        return OpenedModel(generator, directory.class_names, "model", description)
    checks.require(
        is_saved_model(path),
        f"the folder holds no model; --model must be the folder of {KINDS}",
        model=path,
    )
    generator = SavedModelGenerator(path)
    told = ("provenance", "truncation_mode", "bn", "dtype", "compute_dtype")
    description = {"path": path, "kind": "saved_model"}
    description |= {name: generator.metadata[name] for name in told if name in generator.metadata}
    return OpenedModel(generator, generator.class_names, "saved_model", description)


def _of_run(path, raw, iteration):
    name = "generator" if raw else "average"
    restored = restore_networks(path, [name], iteration)
    description = {
        "path": path,
        "kind": "run",
        "weights": "raw" if raw else "ema",
        "iteration": restored.iteration,
    }
    return OpenedModel(restored.networks[name], read_class_names(path), "run", description)
