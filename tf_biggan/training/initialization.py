"""The first weights of a run that starts from a model: fine-tuning, perhaps to other classes.

G and its moving average both start from the source's best generator: the moving average of a run,
and what a converted model holds, which published files call G_ema. That generator is what a user
has seen images of and wants to keep, and most files hold no other; D, which has trained against
the raw generator, finds the averaged one within a few iterations.

What belongs to classes goes through a class map (`class_map`): rows of the shared embedding, of D's
projection and of per-class gains and offsets, and the entries of D's u for them. A row is the mean
of its source rows, or stays as initialised. Everything else is taken as it is, and Adam starts
afresh. Under spectral norm D's projection is divided by the sigma of its new rows, so for other
than the same classes in another order the projection's share in the logits changes by a factor.

A generator with sigma folded in gives its kernels as raw kernels, u found by power iteration, and
the statistics of truncation 1. The new network divides by sigma again. Folded kernels have a sigma
of 1 as far as their source's estimate had converged, and images change by no more than that. The
RGB kernel's sigma belonged to 128 outputs of which three are left: it moves into the gain and
offset before it, which are exact, since ReLU is homogeneous.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.classes import ClassLookup
from tf_biggan.config import TrainConfig
from tf_biggan.layers.linear import Embedding
from tf_biggan.layers.spectral_norm import SpectralNorm
from tf_biggan.models.discriminator import Discriminator
from tf_biggan.models.generator import Generator
from tf_biggan.training.checkpoints import has_checkpoint
from tf_biggan.training.class_map import (
    ClassSources,
    class_sources,
    describe_sources,
    read_class_map,
)
from tf_biggan.training.run_directory import is_run, read_config
from tf_biggan.training.source_model import (
    SourceModel,
    SourceNetwork,
    read_source_model,
    variables_by_path,
)
from tf_biggan.training.source_settings import with_settings, with_stored_settings

MAX_SHOWN = 12
STATISTICS = ("/moving_mean", "/moving_variance")
POWER_ITERATIONS = 200
POWER_TOLERANCE = 1e-7


@dataclasses.dataclass(frozen=True)
class Initialization:
    """What new networks are filled from.

    Attributes:
      source: the model.
      sources: the source classes of every new class.
      class_names: those, described, by the name of every new class.
    """

    source: SourceModel
    sources: ClassSources
    class_names: Mapping[str, str]

    def fill(self, generator: Generator, discriminator: Discriminator) -> None:
        """Overwrites the initial values of new networks, whose architecture is the source's."""
        _fill(generator, self.source.generator, self.sources)
        if not self.source.generator.config["spectral_norm"]:
            _keep_scale_of_image(generator)
        if self.source.discriminator is not None:
            _fill(discriminator, self.source.discriminator, self.sources)

    def describe(self) -> tuple[str, ...]:
        """Lines to print before the run."""
        path, row = self.source.description["path"], self.source.generator.config["architecture"]
        lines = [f"Starting from {path}, the networks of {row['name']}"]
        if self.source.discriminator is None:
            lines.append("Discriminator: new, since the source has none")
        shown = list(self.class_names.items())
        lines += [f"Class {name} starts from: {of}" for name, of in shown[:MAX_SHOWN]]
        if len(shown) > MAX_SHOWN:
            lines.append(f"... and {len(shown) - MAX_SHOWN} more classes")
        return tuple(lines)

    def record(self) -> dict:
        """JSON values that say what the run started from."""
        networks = ["generator", *["discriminator"] * (self.source.discriminator is not None)]
        return {
            "source": dict(self.source.description),
            "networks": networks,
            "classes": dict(self.class_names),
        }


def begin(
    config: TrainConfig, run_dir: str, class_names: Sequence[str]
) -> tuple[TrainConfig, Initialization | None]:
    """The configuration with the source's networks, and what a new run is filled from.

    Args:
      config: of the run; its number of classes is known.
      run_dir: a run that has a checkpoint goes on from it, and its source is not read again.
      class_names: of the data; empty where there are none.

    Returns:
      `config` as it is and None where there is no `init_from`; None where the run goes on.

    Raises:
      ValueError: the source, the settings or the class map do not fit.
    """
    path, map_text = config.run.init_from, config.run.class_map
    checks.require(
        path is not None or map_text is None,
        "`class_map` needs `init_from`, whose classes it names",
        class_map=map_text,
    )
    if is_run(run_dir) and has_checkpoint(run_dir):
        stored = read_config(run_dir)
        if stored.run.init_from is None:
            return config, None
        model = with_stored_settings(config.model, stored.model)
        return dataclasses.replace(config, model=model), None
    if path is None:
        _require_trained_blocks(config, None)
        return config, None
    entries = None if map_text is None else read_class_map(map_text)
    source = read_source_model(path)
    _require_trained_blocks(config, source.discriminator)
    config = dataclasses.replace(config, model=with_settings(config.model, source))
    new = ClassLookup(
        class_names if len(class_names) == config.model.num_classes else (),
        config.model.num_classes,
    )
    known = ClassLookup(source.class_names, source.generator.config["num_classes"])
    sources = class_sources(entries, new, known)
    return config, Initialization(source, sources, describe_sources(sources, new, known))


def _require_trained_blocks(config, discriminator):
    checks.require(
        discriminator is not None or config.step.freeze_d_blocks == 0,
        "only a trained discriminator can be frozen, and this run begins with a new one",
        freeze_d_blocks=config.step.freeze_d_blocks,
        init_from=config.run.init_from,
    )


def _fill(network: keras.Model, source: SourceNetwork, sources: ClassSources) -> None:
    class_axes = _class_axes(network)
    known = source.arrays
    for path, variable in variables_by_path(network).items():
        if path not in known:
            # u, where the source has its sigma folded in.
            continue
        value = known[path]
        if id(variable) in class_axes:
            value = _mapped(value, variable, sources, class_axes[id(variable)])
        elif path.endswith(STATISTICS):
            value = value[-1:]
        variable.assign(value)
    same_classes = _is_permutation(sources, source.config["num_classes"])
    for layer in _layers(network, SpectralNorm):
        is_new = f"{layer.path.removeprefix(f'{network.path}/')}/u" not in known
        if is_new or (isinstance(layer, Embedding) and not same_classes):
            layer.u.assign(_converged(layer)[1])


def _layers(network, kind) -> list:
    layers = network._flatten_layers(include_self=False, recursive=True)
    return [layer for layer in layers if isinstance(layer, kind)]


def _class_axes(network) -> dict[int, int]:
    """The axis of the classes in every variable of a class table, by the variable's id."""
    tables = _layers(network, Embedding)
    axes = {id(table.kernel): 0 for table in tables}
    return axes | {id(table.u): 1 for table in tables if isinstance(table, SpectralNorm)}


def _mapped(value, variable, sources, axis):
    """Means over the source classes; for fresh ones what `variable` has."""
    rows, old = np.moveaxis(np.array(variable), axis, 0), np.moveaxis(value, axis, 0)
    for row, indices in zip(rows, sources, strict=True):
        if indices:
            row[...] = old[list(indices)].mean(axis=0)
    return np.moveaxis(rows, 0, axis)


def _is_permutation(sources, num_classes: int) -> bool:
    return sorted(sources) == [(index,) for index in range(num_classes)]


def _converged(layer) -> tuple[float, np.ndarray]:
    """(sigma, u [1, outputs]) of a kernel after power iteration from its stored u."""
    matrix, u = np.array(layer.kernel_matrix()), np.array(layer.u)
    sigma = 0.0
    for _ in range(POWER_ITERATIONS):
        v = _unit(u @ matrix.T)
        u = v @ matrix
        before, sigma = sigma, float(np.linalg.norm(u))
        u = _unit(u)
        if abs(sigma - before) <= POWER_TOLERANCE * sigma:
            break
    return sigma, u


def _unit(vector):
    return vector / max(float(np.linalg.norm(vector)), np.finfo(vector.dtype).tiny)


def _keep_scale_of_image(generator) -> None:
    """Moves the last kernel's sigma, by which it will be divided, to the norm before it."""
    sigma, _ = _converged(generator.to_image)
    for variable in (generator.output_norm.gain, generator.output_norm.offset):
        variable.assign(sigma * np.array(variable))
