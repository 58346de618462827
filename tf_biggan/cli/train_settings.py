"""The configuration of a training run: frozen dataclasses, their validation, to and from JSON.

The fields are the flags of `python -m tf_biggan.train`, by the same names. Imports neither absl nor
TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass

from tf_biggan import checks
from tf_biggan.cli.named_objects import FORM, is_object_name
from tf_biggan.files import json_files
from tf_biggan.files.home_folder import ONE_PATH
from tf_biggan.networks.architectures import LATENT_INJECTIONS, VARIANTS

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
PRECISIONS = ("float32", "mixed_bfloat16", "float64")
ORTHOGONAL_FORMS = ("relaxed", "original")


def setting(
    default,
    help_text,
    *,
    minimum=None,
    maximum=None,
    choices=None,
    extensible=False,
    may_change=False,
    path=None,
):
    """A dataclass field with what its flag and its validation need.

    Args:
      default: its value where none is given; None for "the architecture's published value".
      help_text: one sentence, with the unit.
      minimum, maximum: inclusive bounds of a number.
      choices: accepted values.
      extensible: whether MODULE:ATTRIBUTE, an object of the user's code, is accepted as well.
      may_change: whether a run may go on with another value.
      path: of a text with paths, one of `home_folder.EXPANDERS`: on the command line their `~`
        becomes the home folder.
    """
    metadata = dict(
        help=help_text,
        minimum=minimum,
        maximum=maximum,
        choices=choices,
        extensible=extensible,
        may_change=may_change,
        path=path,
    )
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ModelConfig:
    """The two networks."""

    variant: str = setting("biggan", "kind of networks", choices=VARIANTS)
    resolution: int = setting(32, "image height and width in pixels", minimum=8)
    architecture: str | None = setting(
        None, "a named row of the architecture table, instead of variant and resolution"
    )
    num_classes: int | None = setting(
        None, "classes; default: those of the data; 0 for unconditional networks", minimum=0
    )
    image_channels: int = setting(3, "1 grey, 3 colour", minimum=1, maximum=4)
    g_channels: int | None = setting(None, "width multiplier of G", minimum=1)
    d_channels: int | None = setting(None, "width multiplier of D", minimum=1)
    g_depth: int | None = setting(None, "blocks per resolution in G", minimum=1)
    d_depth: int | None = setting(None, "blocks per resolution in D", minimum=1)
    latent_dim: int | None = setting(None, "size of z", minimum=1)
    latent_injection: str | None = setting(None, "where z goes", choices=LATENT_INJECTIONS)
    embedding_dim: int | None = setting(
        None, "size of the shared class embedding; 0 for per-class tables", minimum=0
    )
    g_attention: tuple[int, ...] | None = setting(None, "stages of G followed by attention")
    d_attention: tuple[int, ...] | None = setting(None, "stages of D followed by attention")
    d_wide: bool = setting(True, "false for SN-GAN's thin discriminator blocks")
    d_rectified_shortcuts: bool = setting(
        False, "shortcuts of D see features after the ReLU, as StudioGAN's do"
    )
    g_initializer: str = setting("ortho", "kernels of G", choices=("ortho", "n02", "glorot"))
    d_initializer: str = setting("ortho", "kernels of D", choices=("ortho", "n02", "glorot"))
    sn_epsilon: float = setting(1e-8, "epsilon of the spectral norm", minimum=0.0)
    bn_epsilon: float = setting(1e-5, "epsilon of the batch norms", minimum=0.0)
    output_bn_epsilon: float | None = setting(
        None, "epsilon of G's last batch norm; default: bn_epsilon", minimum=0.0
    )
    bn_momentum: float = setting(
        0.9, "weight of the old running statistics", minimum=0.0, maximum=1.0
    )
    bn_synchronized: bool = setting(True, "batch norm moments over all replicas")
    precision: str = setting("float32", "dtype policy of both networks", choices=PRECISIONS)


@dataclass(frozen=True)
class DataConfig:
    """What is trained on."""

    # Data may move while a run goes on: their identity is compared in place of their path.
    dataset: str = setting(
        "digits",
        "digits, tfds:NAME, folder:PATH or tfrecord:PATH",
        may_change=True,
        path=ONE_PATH,
    )
    split: str | None = setting(
        None,
        "split of a tfds data set, train if none is given; or sub-folder of a PATH",
        may_change=True,
    )
    changed_data: bool = setting(
        False,
        "resume a run although images were added, removed or replaced since it began",
        may_change=True,
    )
    data_dir: str | None = setting(None, "where tfds data sets lie", may_change=True, path=ONE_PATH)
    download: bool = setting(False, "download a tfds data set that is not there", may_change=True)
    flip: bool = setting(False, "mirror every other image at random")


@dataclass(frozen=True)
class StepConfig:
    """One iteration: num_d_steps updates of D, one of G, one of the moving average."""

    global_batch_size: int = setting(
        64, "real images of one D update, over all replicas and accumulations", minimum=1
    )
    g_batch_size: int | None = setting(
        None, "generated images of one G update; default: global_batch_size", minimum=1
    )
    num_d_steps: int = setting(1, "D updates for each G update", minimum=1)
    d_accumulations: int = setting(1, "passes that a D update is split into", minimum=1)
    g_accumulations: int = setting(1, "passes that a G update is split into", minimum=1)
    split_d: bool = setting(False, "generated and real images through D in separate passes")
    loss: str = setting(
        "hinge",
        "adversarial loss",
        choices=("hinge", "nonsaturating", "wasserstein"),
        extensible=True,
    )
    augmentation: str | None = setting(
        None,
        "function of real and generated images before D, MODULE:ATTRIBUTE of your own",
        extensible=True,
    )
    g_learning_rate: float = setting(2e-4, "of G's Adam", minimum=0.0)
    d_learning_rate: float = setting(2e-4, "of D's Adam", minimum=0.0)
    g_beta_1: float = setting(0.0, "of G's Adam", minimum=0.0, maximum=1.0)
    d_beta_1: float = setting(0.0, "of D's Adam", minimum=0.0, maximum=1.0)
    g_beta_2: float = setting(0.999, "of G's Adam", minimum=0.0, maximum=1.0)
    d_beta_2: float = setting(0.999, "of D's Adam", minimum=0.0, maximum=1.0)
    adam_epsilon: float = setting(1e-8, "of both Adams", minimum=0.0)
    ema_decay: float = setting(0.9999, "of the moving average of G", minimum=0.0, maximum=1.0)
    ema_start: int = setting(0, "iteration before which the average is a copy", minimum=0)
    g_orthogonal: float = setting(
        0.0, "orthogonal penalty of G; half of BigGAN-PyTorch's --G_ortho", minimum=0.0
    )
    d_orthogonal: float = setting(0.0, "orthogonal penalty of D", minimum=0.0)
    g_orthogonal_form: str = setting(
        "relaxed",
        "Form of the generator's orthogonal penalty for each kernel matrix W: relaxed is"
        " ||W^T W * (1 - I)||^2 and leaves the norms of the columns free; original is"
        " ||W^T W - I||^2. --g_orthogonal is its strength.",
        choices=ORTHOGONAL_FORMS,
    )
    d_orthogonal_form: str = setting(
        "relaxed",
        "Form of the discriminator's orthogonal penalty, as for --g_orthogonal_form."
        " --d_orthogonal is its strength.",
        choices=ORTHOGONAL_FORMS,
    )
    r1_gamma: float = setting(0.0, "R1 penalty of D on real images", minimum=0.0)
    g_sigma_clamp: float | None = setting(
        None, "largest singular value that a kernel of G may keep", minimum=0.0
    )
    g_sigma_clamp_ratio: float | None = setting(
        None, "the same, as a multiple of the kernel's second singular value", minimum=0.0
    )
    label_sampling: str = setting(
        "uniform", "labels of generated images", choices=("uniform", "data")
    )
    freeze_d_blocks: int = setting(
        0, "blocks of D, from the image's side, that are not trained (FreezeD)", minimum=0
    )


@dataclass(frozen=True)
class RunConfig:
    """Length and periods of a run, in iterations, and where it runs."""

    seed: int = setting(0, "of weights, latents, labels and data order", minimum=0)
    init_from: str | None = setting(
        None,
        "folder of a run or of a converted model whose weights a new run starts from",
        path=ONE_PATH,
    )
    class_map: str | None = setting(
        None,
        "what classes start from: a file, or NAME=SOURCE classes or fresh, between semicolons",
        path=ONE_PATH,
    )
    init_optimizers: bool = setting(
        False, "go on with the optimisers, and the raw generator, of init_from; same classes only"
    )
    num_iterations: int = setting(1000, "iterations in all", minimum=1, may_change=True)
    save_every: int = setting(1000, "iterations between checkpoints", minimum=1, may_change=True)
    keep_checkpoints: int = setting(2, "newest checkpoints kept", minimum=1, may_change=True)
    sample_every: int = setting(
        500, "iterations between sheets of samples; 0 for none", minimum=0, may_change=True
    )
    eval_every: int = setting(
        0, "iterations between scores of the moving average; 0 for none", minimum=0, may_change=True
    )
    eval_images: int = setting(5000, "generated images that are scored", minimum=2, may_change=True)
    eval_extractor: str = setting(
        "classifier",
        "what scores are taken by: classifier (trained on the data first), inception,"
        " inception_bfloat16 (faster, not quite FID), or the path of a .keras file or SavedModel",
        may_change=True,
        path=ONE_PATH,
    )
    eval_reference: str | None = setting(
        None,
        "an .npz of statistics to score against; default: the data",
        may_change=True,
        path=ONE_PATH,
    )
    inception_weights: str | None = setting(
        None,
        "Inception of 2015, for an eval_extractor of that name",
        may_change=True,
        path=ONE_PATH,
    )
    iterations_per_call: int = setting(
        1, "iterations that run without returning to Python", minimum=1, may_change=True
    )
    log_every: int = setting(10, "iterations between lines of metrics", minimum=1, may_change=True)
    sigma_every: int = setting(
        1000, "iterations between logs of every sigma; 0 for none", minimum=0, may_change=True
    )
    strategy: str = setting("auto", "how to distribute", choices=STRATEGIES, may_change=True)
    tpu: str | None = setting(None, "name or address of a TPU", may_change=True)
    cpu_replicas: int | None = setting(
        None,
        "replicas on the CPU, to try several replicas out without GPUs",
        minimum=1,
        may_change=True,
    )
    jit: bool | None = setting(None, "compile with XLA; default: on one GPU", may_change=True)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    step: StepConfig = StepConfig()
    run: RunConfig = RunConfig()

    def __post_init__(self):
        for group in self.groups():
            for field in dataclasses.fields(group):
                _check_field(field, getattr(group, field.name))
        clamps = (self.step.g_sigma_clamp, self.step.g_sigma_clamp_ratio)
        checks.require(
            None in clamps,
            "only one of `g_sigma_clamp` and `g_sigma_clamp_ratio` may be given",
            g_sigma_clamp=clamps[0],
            g_sigma_clamp_ratio=clamps[1],
        )

    def groups(self) -> tuple:
        """The four groups."""
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    @classmethod
    def settings(cls) -> list[dataclasses.Field]:
        """All fields of all groups; their names are unique."""
        types = typing.get_type_hints(cls)
        return [field for group in types.values() for field in dataclasses.fields(group)]

    @classmethod
    def from_flat(cls, values: dict) -> TrainConfig:
        """From values by field name, whatever the group; missing ones take their default.

        Raises:
          ValueError: a name is unknown, or a value is not accepted.
        """
        unknown = set(values) - {field.name for field in cls.settings()}
        checks.require(not unknown, "only fields of the configuration", unknown=sorted(unknown))
        made = {}
        for name, group in typing.get_type_hints(cls).items():
            names = {field.name for field in dataclasses.fields(group)}
            made[name] = group(**{k: _frozen(v) for k, v in values.items() if k in names})
        return cls(**made)

    def flat(self) -> dict:
        """Values by field name."""
        return {k: v for group in self.groups() for k, v in dataclasses.asdict(group).items()}

    def to_json(self) -> str:
        """JSON text; `from_groups` takes the object that is in it."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_groups(cls, groups: Mapping[str, object], path: str) -> TrainConfig:
        """From the object that `to_json` writes; missing fields take their default.

        Args:
          groups: fields by group.
          path: names the file in messages.

        Raises:
          ValueError: a group is missing, or a group or field is unknown or of another type.
        """
        types = typing.get_type_hints(cls)
        _require_known(groups, types, path)
        made = {}
        for name, group in types.items():
            values = json_files.field(groups, name, "dict", path)
            fields = {field.name: field for field in dataclasses.fields(group)}
            _require_known(values, fields, path, f"{name}.")
            for key, value in values.items():
                json_files.require_kind(value, str(fields[key].type), path, f"{name}.{key}")
            made[name] = group(**{key: _frozen(value) for key, value in values.items()})
        try:
            return cls(**made)
        except ValueError as error:
            raise ValueError(f"Cannot read {path}: {error}") from error

    def differences(self, other: TrainConfig) -> dict[str, tuple]:
        """(own, other's) values of fields that differ and may not change during a run."""
        mine, theirs = self.flat(), other.flat()
        return {
            field.name: (mine[field.name], theirs[field.name])
            for field in self.settings()
            if mine[field.name] != theirs[field.name] and not field.metadata["may_change"]
        }


def _frozen(value):
    return tuple(value) if isinstance(value, list) else value


def _require_known(values, names, path, prefix=""):
    unknown = [prefix + name for name in values if name not in names]
    if unknown:
        raise ValueError(
            f"Cannot read {path}: unknown field {', '.join(map(repr, unknown))}. Another version of"
            " tf_biggan may have written it."
        )


def _check_field(field, value):
    limits = field.metadata
    if value is None:
        checks.require(
            "None" in str(field.type), f"`{field.name}` must have a value", **{field.name: value}
        )
        return
    checks.require(
        json_files.is_kind(value, str(field.type)),
        f"`{field.name}` must be {json_files.words(str(field.type))}",
        **{field.name: value},
    )
    choices = (*(limits["choices"] or ()), *((FORM,) if limits["extensible"] else ()))
    if choices and not (limits["extensible"] and is_object_name(value)):
        checks.require_choice(field.name, value, choices)
    for bound, word, fails in (
        ("minimum", "at least", lambda v, b: v < b),
        ("maximum", "at most", lambda v, b: v > b),
    ):
        limit = limits[bound]
        checks.require(
            limit is None or not fails(value, limit),
            f"`{field.name}` must be {word} {limit}",
            **{field.name: value},
        )
