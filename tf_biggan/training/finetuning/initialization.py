"""Fine-tuning: fills the networks of a new run with the weights of a source model.

The generator and its moving average both start from the source's averaged generator (G_ema in
published files). Users have seen images of the averaged generator, and most files hold no other
generator. The discriminator was trained against the raw generator, which is not averaged, and
adapts to the averaged generator within a few iterations. The optimisers start anew.

With `init_optimizers`, training continues where the source's training stopped, on the same classes.
The generator then starts from the raw generator if the source has it. The moving average starts
from the averaged generator, and both optimisers continue with the source's slots (Adam's moments).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tf_biggan import checks
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.classes import ClassLookup, complete_names
from tf_biggan.store.checkpoints import has_checkpoint
from tf_biggan.store.run_directory import is_run, read_config
from tf_biggan.training.finetuning.class_map import (
    ClassSources,
    class_sources,
    describe_sources,
    read_class_map,
)
from tf_biggan.training.finetuning.source_model import (
    SourceModel,
    read_source_model,
    with_settings,
    with_stored_settings,
)
from tf_biggan.training.finetuning.weight_transfer import transfer_optimizer_slots, transfer_weights
from tf_biggan.training.state import TrainState

MAX_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Initialization:
    """The source model of a new run, and the source classes of every class of the run.

    Attributes:
      source: The source model.
      source_classes: The source classes of every new class.
      class_names: Maps the name of every new class to the names of its source classes.
      by_index: Whether classes were matched by index, because the run or the source has no class
        names.
    """

    source: SourceModel
    source_classes: ClassSources
    class_names: Mapping[str, str]
    by_index: bool = False

    def fill(self, state: TrainState) -> None:
        """Replaces the initial values of a state with the weights and slots of the source."""
        source, average = self.source, state.average
        transfer_weights(
            state.generator, source.raw_generator or source.generator, self.source_classes
        )
        if source.raw_generator is None:
            for target, value in zip(average.variables, state.generator.variables, strict=True):
                target.assign(value)
        else:
            transfer_weights(average, source.generator, self.source_classes)
        if source.discriminator is not None:
            transfer_weights(state.discriminator, source.discriminator, self.source_classes)
        for name, slots in source.slots.items():
            optimizer = {"generator": state.g_optimizer, "discriminator": state.d_optimizer}[name]
            transfer_optimizer_slots(optimizer, getattr(state, name), slots)

    def describe(self) -> tuple[str, ...]:
        """Returns the lines that are printed before training starts."""
        path, row = self.source.description["path"], self.source.architecture
        config = self.source.generator.config
        size = "x".join(map(str, row.image_size(config["bottom_size"])))
        lines = [
            f"Starting from {path}: architecture {row.name}, {size} pixels,"
            f" width {config['base_channels']}"
        ]
        if self.source.discriminator is None:
            lines.append("Discriminator: new, because the source has none")
        if self.source.slots:
            lines.append("Optimisers: continued from the source")
        if note := self.source.description.get("provenance", {}).get("licence_note"):
            lines.append(f"Licence note of the source: {note}")
        if self.by_index:
            lines.append(
                "Classes are matched by their order, because the source or the data have no"
                " class names"
            )
        shown = list(self.class_names.items())
        lines += [f"Class {name} starts from: {of}" for name, of in shown[:MAX_SHOWN]]
        if len(shown) > MAX_SHOWN:
            lines.append(f"... and {len(shown) - MAX_SHOWN} more classes")
        return tuple(lines)

    def record(self) -> dict:
        """Returns JSON values that describe what the run started from."""
        parts = ("generator", "discriminator", "raw_generator", "slots")
        taken = [name for name in parts if getattr(self.source, name)]
        return {
            "source": dict(self.source.description),
            "taken": taken,
            "classes": dict(self.class_names),
        }


def begin(
    config: TrainConfig, run_dir: str, class_names: Sequence[str]
) -> tuple[TrainConfig, Initialization | None]:
    """Returns the configuration completed from the source, and the initialization of a new run.

    Args:
      config: The configuration of the run, with its number of classes.
      run_dir: Folder of the run. If it has a checkpoint, the source is not read again.
      class_names: The names of the data's classes; empty if there are none.

    Returns:
      (configuration with the settings of the source's networks, initialization). The initialization
      is None without `init_from`, and for a run that resumes from a checkpoint.

    Raises:
      ValueError: The source, the settings or the class map do not fit each other.
    """
    path, map_text = config.run.init_from, config.run.class_map
    checks.require(
        path is not None or (map_text is None and not config.run.init_optimizers),
        "`class_map` and `init_optimizers` have an effect only with `init_from`, the folder"
        " of the source model; give `init_from` or leave them out",
        class_map=map_text,
        init_optimizers=config.run.init_optimizers,
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
    source = read_source_model(path, with_optimizers=config.run.init_optimizers)
    _require_trained_blocks(config, source.discriminator)
    checks.require(
        source.raw_generator is None or config.step.ema_start == 0,
        "`init_optimizers` continues the moving average of the source, so `ema_start` must"
        " be 0; before `ema_start`, the moving average would be a copy of the generator in"
        " training",
        ema_start=config.step.ema_start,
    )
    config = dataclasses.replace(config, model=with_settings(config.model, source))
    initialization = _initialization(source, config.model.num_classes, class_names, entries)
    _require_same_classes(config, initialization)
    return config, initialization


def _initialization(source, num_classes, class_names, entries) -> Initialization:
    new = _lookup(class_names, num_classes)
    known = _lookup(source.class_names, source.generator.config["num_classes"])
    source_classes = class_sources(entries, new, known)
    nameless = num_classes > 0 and not (new.class_names and known.class_names)
    described = describe_sources(source_classes, new, known)
    return Initialization(source, source_classes, described, nameless and entries is None)


def _lookup(class_names, num_classes) -> ClassLookup:
    return ClassLookup(complete_names(class_names, num_classes), num_classes)


def _require_trained_blocks(config, discriminator):
    checks.require(
        discriminator is not None or config.step.freeze_d_blocks == 0,
        "`freeze_d_blocks` needs a trained discriminator, but `init_from` gives none; leave"
        " `freeze_d_blocks` out, or name a model with a discriminator by `init_from`",
        freeze_d_blocks=config.step.freeze_d_blocks,
        init_from=config.run.init_from,
    )


def _require_same_classes(config, initialization):
    same = tuple((i,) for i in range(initialization.source.generator.config["num_classes"]))
    checks.require(
        not config.run.init_optimizers or initialization.source_classes == same,
        "`init_optimizers` needs the classes of the source in the same order; leave"
        " `init_optimizers` out for other classes",
        classes=list(initialization.class_names.items())[:MAX_SHOWN],
    )
