"""The start of a run: settings, devices, data and networks, checked against each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.pipeline import blocks_of, distribute
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import DataIdentity, Source, check_labels
from tf_biggan.devices.strategy import create_strategy, is_chief, may_compile, require_whole_cluster
from tf_biggan.store.run_directory import check_run
from tf_biggan.store.run_networks import discriminator_from, generator_from
from tf_biggan.training.adam import adam_optimizers
from tf_biggan.training.custom_functions import check_custom_functions
from tf_biggan.training.finetuning.initialization import Initialization, begin
from tf_biggan.training.finetuning.weight_transfer import freeze_blocks
from tf_biggan.training.run_data import data_of_run
from tf_biggan.training.state import TrainState
from tf_biggan.training.train_step import batch_plan, compile_iterations, input_sampler


@dataclasses.dataclass(frozen=True)
class Start:
    """What a run starts with, before its networks exist.

    Attributes:
      config: The configuration, with the number of classes and the networks of `init_from`.
      strategy: The strategy of the devices.
      source: The data, with the class order of the run.
      identity: The identity of the data.
      initialization: The weights to start from, or None.
      plan: Batch size of one accumulation step on one replica, under "d" and "g".
    """

    config: TrainConfig
    strategy: tf.distribute.Strategy
    source: Source
    identity: DataIdentity
    initialization: Initialization | None
    plan: dict[str, int]


def prepare(config: TrainConfig, run_dir: str) -> Start:
    """Opens the devices and the data of a run, and checks everything that can be. Writes nothing.

    Args:
      config: The configuration of the run.
      run_dir: Folder of the run. It need not exist.

    Raises:
      ValueError: The configuration contradicts itself, the data, the devices or the folder.
    """
    strategy = create_strategy(config.run.strategy, config.run.tpu, config.run.cpu_replicas)
    require_whole_cluster(strategy)
    data = config.data
    source = open_source(
        data.dataset, split=data.split, data_dir=data.data_dir, download=data.download
    )
    blocks_of(source, config.data.data_order)  # refuses an order that the source does not have
    source, identity = data_of_run(
        run_dir, source, config, print if is_chief(strategy) else _silent
    )
    config = with_classes_of(config, source)
    config, initialization = begin(config, run_dir, source.class_names)
    check_custom_functions(config)
    plan = batch_plan(config.step, strategy.num_replicas_in_sync)
    check_run(run_dir, config)
    return Start(config, strategy, source, identity, initialization, plan)


def with_classes_of(config: TrainConfig, source: Source) -> TrainConfig:
    """Returns the configuration with a number of classes: its own, or that of the data.

    Raises:
      ValueError: The labels do not fit the number of classes.
    """
    found = config.model.num_classes
    num_classes = source.num_classes if found is None else found
    check_labels(source, num_classes)
    model = dataclasses.replace(config.model, num_classes=num_classes)
    return dataclasses.replace(config, model=model)


def create_state(config: TrainConfig, initialization: Initialization | None = None) -> TrainState:
    """Returns networks and optimisers at iteration 0. Call it in the scope of the strategy.

    Args:
      config: The configuration of the run.
      initialization: Gives the weights, if the run starts from a model (fine-tuning).

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


def label_probabilities(config: TrainConfig, source: Source) -> np.ndarray | None:
    """Returns class probabilities [num_classes] for generated images; None if unconditional."""
    num_classes = config.model.num_classes
    if num_classes == 0:
        return None
    if config.step.label_sampling == "uniform":
        return np.full(num_classes, 1.0 / num_classes)
    counts = np.bincount(source.labels, minlength=num_classes)
    return counts / counts.sum()


def open_batches(
    config: TrainConfig,
    strategy: tf.distribute.Strategy,
    source: Source,
    state: TrainState,
    iteration: int,
) -> Iterator:
    """Returns an iterator over the batches of accumulation steps after `iteration`."""
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
    """Returns the graph of iterations of a run; see `train_step.compile_iterations`."""
    inputs = input_sampler(
        state,
        config.step,
        config.run.seed,
        label_probabilities(config, source),
        strategy.num_replicas_in_sync,
    )
    jit = may_compile(strategy) if config.run.jit is None else config.run.jit
    return compile_iterations(strategy, state, config.step, inputs, jit)


def plan_lines(start: Start) -> Iterator[str]:
    """Yields the lines that describe how the batches of both networks are divided."""
    step, plan = start.config.step, start.plan
    replicas = start.strategy.num_replicas_in_sync
    d_parts = (replicas, plan["d"], step.d_accumulations)
    g_parts = (replicas, plan["g"], step.g_accumulations)
    yield _batch_line("discriminator", step.num_d_steps, step.global_batch_size, d_parts)
    yield _batch_line("generator", 1, step.g_batch_size or step.global_batch_size, g_parts)


def _batch_line(network, num_steps, batch_size, parts) -> str:
    """Returns how a batch is divided; `parts` are replicas, images and accumulation steps."""
    named = zip(parts, ("replica", "image", "accumulation step"), strict=True)
    return (
        f"In each iteration, the {network} takes {_counted(num_steps, 'step')} of"
        f" {_counted(batch_size, 'image')}"
        f" ({' x '.join(_counted(count, noun) for count, noun in named)})"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _silent(text: str) -> None:
    """Prints nothing; of several processes only one prints."""
