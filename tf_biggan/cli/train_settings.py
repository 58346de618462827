"""Settings of a training run, in four groups, and their JSON form in a run's config.json.

Every field is a flag of `python -m tf_biggan.train`. Neither absl nor TensorFlow is imported.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tf_biggan import checks
from tf_biggan.cli.collapse_settings import COLLAPSE_FLAGS, ROLLBACK, CollapseSettings
from tf_biggan.cli.data_settings import DATA_FLAGS, DataConfig
from tf_biggan.cli.network_settings import ModelConfig
from tf_biggan.cli.settings import Kind, Settings, require_fields, setting
from tf_biggan.cli.shared_settings import EXTRACTORS, DeviceSettings
from tf_biggan.cli.small_data_settings import SMALL_DATA_FLAGS, SmallDataSettings
from tf_biggan.files import json_files
from tf_biggan.files.file_paths import ONE_PATH
from tf_biggan.networks.architecture_files import shown

ORTHOGONAL_FORMS = ("relaxed", "original")


@dataclass(frozen=True)
class StepConfig(SmallDataSettings):
    """Settings of a training step: `num_d_steps` discriminator updates, then a generator update."""

    global_batch_size: int = setting(
        64,
        "Number of real images in one discriminator update, over all replicas and accumulation"
        " steps.",
        minimum=1,
    )
    g_batch_size: int | None = setting(
        None,
        "Number of generated images in one generator update. Default: the value of"
        " --global_batch_size.",
        minimum=1,
    )
    num_d_steps: int = setting(
        1, "Number of discriminator updates before each generator update.", minimum=1
    )
    d_accumulations: int = setting(
        1, "Number of gradient accumulation steps in each discriminator update.", minimum=1
    )
    g_accumulations: int = setting(
        1, "Number of gradient accumulation steps in each generator update.", minimum=1
    )
    split_d: bool = setting(
        False, "Apply the discriminator to generated and real images in separate batches."
    )
    loss: str = setting(
        "hinge",
        "Adversarial loss. MODULE:ATTRIBUTE names a loss in your own code.",
        choices=("hinge", "nonsaturating", "wasserstein"),
        extensible=True,
    )
    augmentation: str | None = setting(
        None,
        "Function in your own code that augments real and generated images before the"
        " discriminator. Default: none.",
        extensible=True,
    )
    g_learning_rate: float = setting(
        2e-4, "Learning rate of the generator's Adam optimiser.", minimum=0.0
    )
    d_learning_rate: float = setting(
        2e-4, "Learning rate of the discriminator's Adam optimiser.", minimum=0.0
    )
    g_beta_1: float = setting(
        0.0, "beta_1 of the generator's Adam optimiser.", minimum=0.0, maximum=1.0
    )
    d_beta_1: float = setting(
        0.0, "beta_1 of the discriminator's Adam optimiser.", minimum=0.0, maximum=1.0
    )
    g_beta_2: float = setting(
        0.999, "beta_2 of the generator's Adam optimiser.", minimum=0.0, maximum=1.0
    )
    d_beta_2: float = setting(
        0.999, "beta_2 of the discriminator's Adam optimiser.", minimum=0.0, maximum=1.0
    )
    adam_epsilon: float = setting(1e-8, "Epsilon of both Adam optimisers.", minimum=0.0)
    ema_decay: float = setting(
        0.9999, "Decay of the moving average of the generator.", minimum=0.0, maximum=1.0
    )
    ema_start: int = setting(
        0,
        "Iteration at which the moving average starts. Before this iteration, it is a copy of the"
        " generator.",
        minimum=0,
    )
    g_orthogonal: float = setting(
        0.0,
        "Weight of the generator's orthogonal penalty. BigGAN-PyTorch's --G_ortho needs twice"
        " this value for the same penalty.",
        minimum=0.0,
    )
    d_orthogonal: float = setting(
        0.0, "Weight of the orthogonal penalty of the discriminator.", minimum=0.0
    )
    g_orthogonal_form: str = setting(
        "relaxed",
        "Form of the generator's orthogonal penalty for each kernel matrix W. relaxed is ||W^T W"
        " * (1 - I)||^2, which leaves the norms of the columns free. original is ||W^T W - I||^2."
        " --g_orthogonal is the weight of both.",
        choices=ORTHOGONAL_FORMS,
    )
    d_orthogonal_form: str = setting(
        "relaxed",
        "Form of the discriminator's orthogonal penalty, as for --g_orthogonal_form."
        " --d_orthogonal is its weight.",
        choices=ORTHOGONAL_FORMS,
    )
    r1_gamma: float = setting(
        0.0, "Gamma, the strength of the discriminator's R1 penalty on real images.", minimum=0.0
    )
    g_sigma_clamp: float | None = setting(
        None,
        "Upper limit of the largest singular value of each generator kernel. Default: no limit.",
        minimum=0.0,
    )
    g_sigma_clamp_ratio: float | None = setting(
        None,
        "Upper limit of the largest singular value of each generator kernel, as a multiple of the"
        " kernel's second singular value. Default: no limit.",
        minimum=0.0,
    )
    label_sampling: str = setting(
        "uniform",
        "How the classes of generated images are sampled: uniform (all equally likely) or data"
        " (as frequent as in the data). If the data have soft labels, whole soft labels are"
        " sampled.",
        choices=("uniform", "data"),
    )
    freeze_d_blocks: int = setting(
        0,
        "Number of discriminator blocks, counted from the image, that are not trained (FreezeD).",
        minimum=0,
    )

    @property
    def needs_image_seeds(self) -> bool:
        """Whether the training step draws random numbers for each image."""
        weights = (self.bcr_real_weight, self.bcr_fake_weight, self.zcr_d_weight, self.zcr_g_weight)
        return any((self.augmentation, self.diff_augment, *weights))


@dataclass(frozen=True)
class RunConfig(CollapseSettings, DeviceSettings):
    """Length of a run, how often it saves and logs, its devices, and its reaction to a collapse."""

    seed: int = setting(
        0,
        "Seed of the initial weights, the latents, the labels and the order of the data.",
        minimum=0,
    )
    init_from: str | None = setting(
        None,
        "Model whose weights a new run starts from: the folder of a run or of a converted model,"
        " or the handle of a model in a hub.",
        path=ONE_PATH,
    )
    class_map: str | None = setting(
        None,
        "Source of the initial weights of each class in fine-tuning: entries CLASS=SOURCE,"
        " separated by semicolons, or a file that holds the entries. SOURCE is one or more classes"
        " of --init_from, or fresh for random values.",
        path=ONE_PATH,
    )
    init_optimizers: bool = setting(
        False,
        "Also take the state of both optimisers, and the generator without averaging, from"
        " --init_from. That model must have the same classes as the new run.",
    )
    num_iterations: int = setting(
        1000,
        "Number of iterations of the whole run, over all resumed parts.",
        minimum=1,
        may_change=True,
    )
    save_every: int = setting(
        1000, "Number of iterations between checkpoints.", minimum=1, may_change=True
    )
    keep_checkpoints: int = setting(
        2, "Number of newest checkpoints to keep.", minimum=1, may_change=True
    )
    sample_every: int = setting(
        500,
        "Number of iterations between sheets of samples; 0 for none.",
        minimum=0,
        may_change=True,
    )
    eval_every: int = setting(
        0,
        "Number of iterations between evaluations, which score the moving average of the"
        " generator; 0 for none.",
        minimum=0,
        may_change=True,
    )
    eval_images: int = setting(
        5000, "Number of generated images for each score.", minimum=2, may_change=True
    )
    eval_extractor: str = setting(
        "classifier",
        f"Feature extractor for scores: {EXTRACTORS}.",
        may_change=True,
        path=ONE_PATH,
    )
    eval_reference: str | None = setting(
        None,
        "An .npz file with statistics of the real images to compare with, written by"
        " --save_statistics of evaluate or with the arrays mu and sigma. Default: the training"
        " data.",
        may_change=True,
        path=ONE_PATH,
    )
    inception_weights: str | None = setting(
        None,
        "Weights of the Inception network, for --eval_extractor=inception or inception_bfloat16:"
        " the frozen graph of 2015 (.pb or .tgz), pytorch-fid's .pth file, or TF-GAN's TF-Hub"
        " module.",
        may_change=True,
        path=ONE_PATH,
    )
    iterations_per_call: int | None = setting(
        None,
        "Number of iterations that run in TensorFlow without returning to Python. Default: 1 on"
        " CPUs, and 10 on GPUs and TPUs, which would otherwise wait for Python after each"
        " iteration.",
        minimum=1,
        may_change=True,
    )
    log_every: int = setting(
        10, "Number of iterations between logs of the losses.", minimum=1, may_change=True
    )
    sigma_every: int = setting(
        1000,
        "Number of iterations between logs of every layer's largest singular value; 0 for none.",
        minimum=0,
        may_change=True,
    )
    jit: bool | None = setting(
        None,
        "Compile the training step with XLA. Default: only if there is a single GPU.",
        may_change=True,
    )


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a training run."""

    required: ClassVar[tuple[str, ...]] = ("run_dir",)
    aliases: ClassVar[Mapping[str, str]] = {}
    help_groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Run": ("run_dir", "dry_run", "num_iterations", "seed"),
        "Data": DATA_FLAGS,
        "Model": (
            "variant",
            "resolution",
            "architecture",
            "num_classes",
            "image_channels",
            "precision",
        ),
        "Generator": (
            "g_channels",
            "g_depth",
            "latent_dim",
            "latent_injection",
            "embedding_dim",
            "g_attention",
            "g_initializer",
            "bn_epsilon",
            "output_bn_epsilon",
            "bn_momentum",
            "bn_synchronized",
        ),
        "Discriminator": (
            "d_channels",
            "d_depth",
            "d_attention",
            "d_wide",
            "d_rectified_shortcuts",
            "d_initializer",
            "sn_epsilon",
        ),
        "Training step": (
            "global_batch_size",
            "g_batch_size",
            "num_d_steps",
            "d_accumulations",
            "g_accumulations",
            "split_d",
            "loss",
            "label_sampling",
            "augmentation",
        ),
        "Optimisers and moving average": (
            "g_learning_rate",
            "d_learning_rate",
            "g_beta_1",
            "d_beta_1",
            "g_beta_2",
            "d_beta_2",
            "adam_epsilon",
            "ema_decay",
            "ema_start",
        ),
        "Regularisation": (
            "g_orthogonal",
            "d_orthogonal",
            "g_orthogonal_form",
            "d_orthogonal_form",
            "r1_gamma",
            "g_sigma_clamp",
            "g_sigma_clamp_ratio",
        ),
        "Small data": SMALL_DATA_FLAGS,
        "Fine-tuning": ("init_from", "class_map", "init_optimizers", "freeze_d_blocks"),
        "Checkpoints, samples and logs": (
            "save_every",
            "keep_checkpoints",
            "sample_every",
            "log_every",
            "sigma_every",
        ),
        "Scores during training": (
            "eval_every",
            "eval_images",
            "eval_extractor",
            "eval_reference",
            "inception_weights",
        ),
        "Collapse": COLLAPSE_FLAGS,
        "Computation": ("strategy", "tpu", "cpu_replicas", "jit", "iterations_per_call"),
    }

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    step: StepConfig = dataclasses.field(default_factory=StepConfig)
    run: RunConfig = dataclasses.field(default_factory=RunConfig)

    def __post_init__(self):
        clamps = (self.step.g_sigma_clamp, self.step.g_sigma_clamp_ratio)
        checks.require(
            None in clamps,
            "give only one of `g_sigma_clamp` and `g_sigma_clamp_ratio`",
            g_sigma_clamp=clamps[0],
            g_sigma_clamp_ratio=clamps[1],
        )
        checks.require(
            self.run.on_collapse != ROLLBACK or self.run.eval_every > 0,
            "`on_collapse=rollback` needs scores to know the best checkpoint; give `eval_every`",
            on_collapse=self.run.on_collapse,
            eval_every=self.run.eval_every,
        )

    @classmethod
    def settings(cls) -> list[dataclasses.Field]:
        """Returns all fields of all groups. Their names are unique."""
        return [field for _, group in cls._groups() for field in group.settings()]

    @classmethod
    def kinds(cls) -> dict[str, Kind]:
        """Returns the type of every field of all groups by the field's name."""
        return {name: kind for _, group in cls._groups() for name, kind in group.kinds().items()}

    @classmethod
    def from_flat(cls, values: Mapping[str, object]) -> TrainConfig:
        """Returns settings with values given by field name. Missing fields have their default.

        Raises:
          ValueError: A name is unknown or a value is not accepted.
        """
        require_fields(values, cls.kinds())
        groups = {}
        for name, group in cls._groups():
            kinds = group.kinds()
            groups[name] = group(**{k: value for k, value in values.items() if k in kinds})
        return cls(**groups)

    def flat(self) -> dict:
        """Returns the values of all groups by field name."""
        groups = dataclasses.asdict(self).values()
        return {name: value for group in groups for name, value in group.items()}

    def to_json(self) -> str:
        """Returns the settings as JSON text. `from_groups` reads the parsed text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_groups(cls, groups: Mapping[str, object], path: str) -> TrainConfig:
        """Returns settings from a parsed config.json. Missing fields have their default.

        Args:
          groups: Maps the name of each group to the values of its fields by name.
          path: Path of the file, for error messages.

        Raises:
          ValueError: A group is missing, or a group or field is unknown or has a wrong type.
        """
        _require_known(groups, dict(cls._groups()), path)
        for name, group in cls._groups():
            values, kinds = json_files.field(groups, name, "dict", path), group.kinds()
            _require_known(values, kinds, path, f"{name}.")
            for key, value in values.items():
                json_files.require_kind(value, kinds[key].annotation, path, f"{name}.{key}")
        try:
            return cls(**{name: group(**groups[name]) for name, group in cls._groups()})
        except ValueError as error:
            raise ValueError(f"Cannot read {path}: {error}") from error

    def differences(self, other: TrainConfig) -> dict[str, tuple]:
        """Returns the settings that differ although they must not change during a run.

        Returns:
          (own value, value of `other`) by name. A part of a custom architecture has a name such as
          "architecture.generator.widths".
        """
        mine, theirs = self.flat(), other.flat()
        found = {
            field.name: _differing(field.name, mine[field.name], theirs[field.name])
            for field in self.settings()
            if not field.metadata["may_change"]
        }
        return {name: pair for pairs in found.values() for name, pair in pairs.items()}

    @classmethod
    def _groups(cls) -> Iterator[tuple[str, type[Settings]]]:
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            yield field.name, hints[field.name]


def _differing(name: str, mine: object, theirs: object) -> dict[str, tuple]:
    if not (isinstance(mine, dict) and isinstance(theirs, dict)):
        return {} if mine == theirs else {name: (shown(mine), shown(theirs))}
    found = [_differing(f"{name}.{key}", mine[key], theirs[key]) for key in mine]
    return {name: pair for pairs in found for name, pair in pairs.items()}


def _require_known(values, names, path, prefix=""):
    unknown = [prefix + name for name in values if name not in names]
    if unknown:
        raise ValueError(
            f"Cannot read {path}: unknown field {', '.join(map(repr, unknown))}. Another version of"
            " tf_biggan may have written it."
        )
