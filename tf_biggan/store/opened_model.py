"""`open_model`: a generator from a run, a converted model or an exported SavedModel."""

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
    """A generator from disk.

    Attributes:
      generator: called as `generator(z, labels, truncation=...)`; only a `Generator` can be copied
        and have its statistics taken anew.
      class_names: one name a class; empty where none are known.
      kind: "run", "model" or "saved_model".
      description: JSON values by name that say which model it is: path, weights, iteration.
    """

    generator: Generator | SavedModelGenerator
    class_names: tuple[str, ...]
    kind: str
    description: Mapping[str, object]


def open_model(path: str, *, raw: bool = False, iteration: int | None = None) -> OpenedModel:
    """The generator at a path; what is there is found out.

    Args:
      path: folder of a run, of a converted model, or of a SavedModel.
      raw: of a run, the generator in training instead of its moving average.
      iteration: of a run, which checkpoint; None for the newest that can be read.

    Raises:
      ValueError: it is none of these, it is damaged, or `raw` or `iteration` is given where there
        is no choice.
    """
    checks.require_existing("model", path, f"the folder of {KINDS}")
    checks.require(os.path.isdir(path), f"a model must be the folder of {KINDS}", path=path)
    if is_run(path):
        return _of_run(path, raw, iteration)
    checks.require(
        not raw and iteration is None,
        "only a run has raw weights and iterations to choose from",
        path=path,
    )
    if is_model_directory(path):
        directory = read_directory(path)
        generator = load_network(directory, "generator")
        description = {"path": path, "kind": "model", "provenance": dict(directory.provenance)}
        return OpenedModel(generator, directory.class_names, "model", description)
    checks.require(is_saved_model(path), f"a model must be the folder of {KINDS}", path=path)
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
