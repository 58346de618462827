"""The start of a run: settings, devices, data and networks, checked against each other.

A resumed run must have the classes that it had at its start, and the same images unless
`changed_data` is set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.image_sizes import as_resolution
from tf_biggan.cli.network_settings import ModelConfig
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.classes import complete_names, match_classes, name_differences
from tf_biggan.data.held_out import Division, divide
from tf_biggan.data.label_distribution import LabelDistribution
from tf_biggan.data.pipeline import blocks_of, distribute
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import DataIdentity, Source, check_labels
from tf_biggan.devices.strategy import (
    create_strategy,
    is_chief,
    may_compile,
    naming_lost_processes,
    num_hosts,
    require_same,
)
from tf_biggan.files.json_files import key_of
from tf_biggan.networks.architecture_files import USUAL_FIRST_SIZE, shown
from tf_biggan.store.run_directory import (
    check_run,
    discriminator_from,
    generator_from,
    image_size_from,
    is_run,
    plan_from,
    read_class_names,
    read_config,
    read_data_identity,
)
from tf_biggan.training.custom_functions import check_custom_functions
from tf_biggan.training.discriminator_scores import DiscriminatorScores
from tf_biggan.training.finetuning.initialization import Initialization, begin
from tf_biggan.training.finetuning.weight_transfer import freeze_blocks
from tf_biggan.training.state import TrainState
from tf_biggan.training.train_step import batch_plan, compile_iterations, input_sampler
from tf_biggan.training.updates import adam_optimizers

ANOTHER_RUN = "or train in another --run_dir"
# Settings that may differ between the machines of a cluster, because they tell where files are.
DIFFERS_BETWEEN_MACHINES = (
    "dataset",
    "split",
    "data_dir",
    "download",
    "init_from",
    "class_map",
    "eval_extractor",
    "eval_reference",
    "inception_weights",
)
HASH_DIGITS = 8


@dataclasses.dataclass(frozen=True)
class Start:
    """Settings, devices and data with which a run starts, before its networks exist.

    Attributes:
      config: The configuration, completed with the number of classes and, if `init_from` is given,
        with the settings of the source model's networks.
      strategy: The distribution strategy of the run.
      data: The data in the class order of the run, divided into images to train on and held-out
        images.
      identity: The identity of the data, including held-out images.
      initialization: The source of the initial weights in fine-tuning, or None.
      plan: Batch size of one accumulation step on one replica, for the discriminator under "d" and
        for the generator under "g".
    """

    config: TrainConfig
    strategy: tf.distribute.Strategy
    data: Division
    identity: DataIdentity
    initialization: Initialization | None
    plan: dict[str, int]


def prepare(config: TrainConfig, run_dir: str) -> Start:
    """Returns the checked settings, devices and data of a run, and writes nothing.

    Everything that can be checked without networks is checked here.

    Args:
      config: The configuration of the run.
      run_dir: Folder of the run. It need not exist.

    Raises:
      ValueError: The configuration contradicts itself, or does not fit the data, the devices or the
        folder.
    """
    strategy = create_strategy(config.run.strategy, config.run.tpu, config.run.cpu_replicas)
    data = config.data
    source = open_source(
        data.dataset, split=data.split, data_dir=data.data_dir, download=data.download
    )
    # Raises ValueError if the source does not have this order.
    blocks_of(source, config.data.data_order)
    source, identity = data_of_run(
        run_dir, source, config, print if is_chief(strategy) else _silent
    )
    config = with_stored_architecture(with_classes_of(config, source), run_dir)
    config, initialization = begin(config, run_dir, source.class_names)
    if not is_run(run_dir):
        _require_size_of_architecture(config.model)
    check_custom_functions(config)
    plan = batch_plan(config.step, strategy.num_replicas_in_sync)
    check_run(run_dir, config)
    _require_same_everywhere(strategy, config, identity)
    divided = divide(source, data.held_out_share, config.run.seed)
    return Start(config, strategy, divided, identity, initialization, plan)


def _require_same_everywhere(
    strategy: tf.distribute.Strategy, config: TrainConfig, identity: DataIdentity
) -> None:
    """Checks that all processes train with the same settings on the same images."""
    settings = {k: v for k, v in config.flat().items() if k not in DIFFERS_BETWEEN_MACHINES}
    rules = {
        "with the same flags; start the same command on each of them": key_of(settings),
        "on the same images; copy the data set again": identity.index_sha256,
    }
    with naming_lost_processes(strategy):
        for rule, sha256 in rules.items():
            number = int(sha256[:HASH_DIGITS], 16)
            require_same(strategy, number, f"all machines must train {rule}", sha256_here=sha256)


def with_classes_of(config: TrainConfig, source: Source) -> TrainConfig:
    """Returns the configuration with its number of classes, by default that of the data.

    Raises:
      ValueError: The labels do not fit the number of classes.
    """
    found = config.model.num_classes
    num_classes = source.num_classes if found is None else found
    check_labels(source, num_classes)
    model = dataclasses.replace(config.model, num_classes=num_classes)
    return dataclasses.replace(config, model=model)


def with_stored_architecture(config: TrainConfig, run_dir: str) -> TrainConfig:
    """Returns the configuration with the custom architecture that the run stored, if it stored one.

    An architecture in `config` takes precedence. Because of the stored architecture, a resumed run
    does not need the file from which its architecture was read.
    """
    if config.model.architecture is not None or not is_run(run_dir):
        return config
    stored = read_config(run_dir).model.architecture
    if not isinstance(stored, dict):
        return config
    model = dataclasses.replace(config.model, architecture=stored)
    return dataclasses.replace(config, model=model)


def _require_size_of_architecture(model: ModelConfig) -> None:
    """Raises ValueError if a given `resolution` is not the size of the architecture's images.

    Only new runs are checked, because earlier versions ignored a `resolution` that differs.
    """
    made = as_resolution(*image_size_from(model))
    given = model.changed(["resolution"])
    checks.require(
        given.get("resolution", made) == made,
        f"the architecture makes images of {made} pixels; leave out `resolution` or `architecture`,"
        " or describe an architecture for the requested resolution in a file",
        architecture=shown(model.architecture),
        **given,
    )


def create_state(config: TrainConfig, initialization: Initialization | None = None) -> TrainState:
    """Returns the state of a run at iteration 0. Call it in the scope of the strategy.

    Args:
      config: The configuration of the run.
      initialization: The source of the initial weights in fine-tuning; None for random weights.

    Raises:
      ValueError: The discriminator has fewer blocks than `freeze_d_blocks`.
    """
    seed, num_classes = config.run.seed, config.model.num_classes
    discriminator = discriminator_from(config.model, num_classes, seed)
    freeze_blocks(discriminator, config.step.freeze_d_blocks)
    state = TrainState.create(
        generator_from(config.model, num_classes, seed),
        discriminator,
        *adam_optimizers(config.step),
        follow_second=config.step.g_sigma_clamp_ratio is not None,
        average_logits=config.step.lecam_weight > 0,
    )
    if initialization is not None:
        initialization.fill(state)
    return state


def label_distribution(config: TrainConfig, source: Source) -> LabelDistribution | None:
    """Returns the distribution of the labels of generated images; None if unconditional."""
    num_classes = config.model.num_classes
    if num_classes == 0:
        return None
    return LabelDistribution.of_source(source, num_classes, config.step.label_sampling)


def open_batches(
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    source: Source,
    state: TrainState,
    iteration: int,
) -> Iterator:
    """Returns an iterator over the real batches of all iterations after `iteration`.

    Each batch is for one accumulation step of the discriminator, over all replicas.
    """
    step = config.step
    return iter(
        distribute(
            strategy,
            source,
            image_size=state.generator.image_size,
            image_channels=config.model.image_channels,
            batch_size=step.global_batch_size // step.d_accumulations,
            seed=config.run.seed,
            flip=config.data.flip,
            data_order=config.data.data_order,
            start_batch=iteration * step.num_d_steps * step.d_accumulations,
        )
    )


def compiled_step(
    config: TrainConfig, strategy: tf.distribute.Strategy, source: Source, state: TrainState
) -> Callable:
    """Returns the function that runs iterations in a graph; see `train_step.compile_iterations`."""
    inputs = input_sampler(
        state,
        config.step,
        config.run.seed,
        label_distribution(config, source),
        strategy.num_replicas_in_sync,
        num_hosts(strategy),
    )
    jit = may_compile(strategy) if config.run.jit is None else config.run.jit
    return compile_iterations(strategy, state, config.step, inputs, jit)


def discriminator_scores(
    config: TrainConfig, strategy: tf.distribute.Strategy, data: Division, state: TrainState
) -> DiscriminatorScores | None:
    """Returns the object that scores a run's discriminator, or None if no images are held out."""
    if data.held_out is None:
        return None
    labels = label_distribution(config, data.training)
    return DiscriminatorScores(
        state, data.training, data.held_out, strategy, config.run.seed, labels
    )


def plan_lines(start: Start) -> Iterator[str]:
    """Yields lines about unusual image sizes, and about how the batches are divided."""
    yield from _size_lines(start)
    step, plan = start.config.step, start.plan
    replicas = start.strategy.num_replicas_in_sync
    d_parts = (replicas, plan["d"], step.d_accumulations)
    g_parts = (replicas, plan["g"], step.g_accumulations)
    yield _batch_line("discriminator", step.num_d_steps, step.global_batch_size, d_parts)
    yield _batch_line("generator", 1, step.g_batch_size or step.global_batch_size, g_parts)


def _size_lines(start: Start) -> Iterator[str]:
    row, first = plan_from(start.config.model)
    size, stored = image_size_from(start.config.model), start.data.whole.stored_size
    text = "x".join(map(str, size))
    if first != USUAL_FIRST_SIZE:
        yield (
            f"Images of {text} pixels (height x width): architecture {row.name} with a first"
            f" feature map of {first[0]}x{first[1]}"
        )
    if stored is not None and stored[0] * size[1] != stored[1] * size[0]:
        yield (
            f"Warning: the records hold images of {stored[0]}x{stored[1]} pixels, which are cropped"
            f" to the aspect ratio of {text}. Prepare them with --resolution={text} to keep more."
        )


def _batch_line(network, num_steps, batch_size, parts) -> str:
    """Returns a sentence about a batch; `parts` counts replicas, images and accumulation steps."""
    named = zip(parts, ("replica", "image", "accumulation step"), strict=True)
    return (
        f"In each iteration, the {network} takes {_counted(num_steps, 'step')} of"
        f" {_counted(batch_size, 'image')}"
        f" ({' x '.join(_counted(count, noun) for count, noun in named)})"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _silent(text: str) -> None:
    """Prints nothing, because only one of several processes prints."""


def data_of_run(
    run_dir: str, source: Source, config: TrainConfig, say: Callable[[str], None]
) -> tuple[Source, DataIdentity]:
    """Returns the data source with the class order of the run, and the identity of the data.

    The path of the data may differ from the path at the first start. Classes in another order are
    matched by name.

    Args:
      run_dir: Folder of the run. If this folder holds no run yet, `source` is returned unchanged.
      source: The data source that `config.data` names.
      config: The configuration of the run.
      say: Prints a sentence.

    Raises:
      ValueError: The run started with other classes; or it started with other images, and
        `changed_data` is not set.
    """
    if not is_run(run_dir):
        return source, DataIdentity.of(source)
    source = _with_classes_of_run(run_dir, source, read_class_names(run_dir), say)
    identity, stored = DataIdentity.of(source), read_data_identity(run_dir)
    if stored is None:
        _require_same_place(run_dir, config)
        return source, identity
    difference = stored.differences(identity, source.class_names)
    checks.require(
        difference is None or config.data.changed_data,
        f"cannot resume {run_dir}: the images of --dataset have changed: {difference}. Use"
        " the same images as before, add --changed_data to continue with the present images,"
        f" {ANOTHER_RUN}",
        dataset=source.name,
    )
    if difference is not None:
        say(f"The data have changed since the run began: {difference}.")
    return source, identity


def _with_classes_of_run(
    run_dir: str, source: Source, names: Sequence[str], say: Callable[[str], None]
) -> Source:
    if not names:
        return source
    checks.require(
        bool(source.class_names),
        f"cannot resume {run_dir}: it started with {len(names)} classes, but {source.name}"
        f" has no classes. Use the same data as before, {ANOTHER_RUN}",
        classes=len(names),
    )
    found = complete_names(source.class_names, max(len(names), int(source.labels.max()) + 1))
    difference = name_differences(names, found, "the run", source.name)
    checks.require(
        difference is None,
        f"cannot resume {run_dir}: it started with other classes; {difference}. Give the"
        f" classes their former names, {ANOTHER_RUN}",
        dataset=source.name,
    )
    labels = match_classes(found, names)
    if labels == tuple(range(len(names))):
        return source
    say(
        f"The classes of {source.name} have another order than the classes of the run. They"
        " are matched by name."
    )
    return source.with_classes(names, labels)


def _require_same_place(run_dir: str, config: TrainConfig) -> None:
    """Raises ValueError if the path of the data changed. Runs of version 0.1 recorded no more."""
    then, now = read_config(run_dir).data, config.data
    checks.require(
        (then.dataset, then.split) == (now.dataset, now.split),
        f"cannot resume {run_dir}: --dataset was {_named(then)} and is {_named(now)}. The run"
        " was started by version 0.1, which did not record its images, so they cannot be"
        " compared. To record the images, resume once with --dataset at its former path (a symbolic"
        " link is enough),"
        f" {ANOTHER_RUN}",
        dataset=now.dataset,
    )


def _named(data) -> str:
    return data.dataset if data.split is None else f"{data.dataset} (--split={data.split})"
