"""Describes what training would do and measures three iterations, without writing a file."""

from __future__ import annotations

import dataclasses
import datetime
import math
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.classes import complete_names
from tf_biggan.data.decoding import naming_unreadable
from tf_biggan.data.pipeline import CACHE_LIMIT_BYTES
from tf_biggan.devices.strategy import naming_lost_processes
from tf_biggan.evaluation.features.classifier import ClassifierSettings
from tf_biggan.evaluation.features.extractors import CLASSIFIER
from tf_biggan.evaluation.features.image_sets import SourceImages
from tf_biggan.evaluation.protocol import DEFAULT
from tf_biggan.evaluation.requirements import (
    EvaluationPlan,
    ImagesSummary,
    computable,
    expected_extractor,
    summarize_images,
)
from tf_biggan.files import file_system
from tf_biggan.store.checkpoints import checkpoint_iterations
from tf_biggan.store.run_directory import image_size_from
from tf_biggan.training.logs import describe_start, warnings_at_start
from tf_biggan.training.preflight.mistakes import Facts, checked, survey
from tf_biggan.training.scores import METRICS
from tf_biggan.training.start import (
    Start,
    compiled_step,
    create_state,
    open_batches,
    plan_lines,
    prepare,
)
from tf_biggan.training.state import TrainState

ITERATIONS = 3
MEGABYTE = 1e6
# Bytes in one unit of `ru_maxrss`.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def dry_run(config: TrainConfig, run_dir: str) -> Iterator[str]:
    """Yields the lines of a dry run: data, networks, batches, checks, memory and time.

    Nothing is written, not even the folder of the run, and nothing is downloaded. The networks are
    trained for a few iterations in memory to measure their time.

    Args:
      config: The configuration of the run.
      run_dir: Folder of the run. It need not exist.

    Raises:
      ValueError: The run could not start. The message is the one that `train` would give.
    """
    data = dataclasses.replace(config.data, download=False)
    start = prepare(dataclasses.replace(config, data=data), run_dir)
    with naming_lost_processes(start.strategy):
        yield from _lines(start, run_dir)


def _lines(start: Start, run_dir: str) -> Iterator[str]:
    """Yields the lines of a dry run."""
    with start.strategy.scope():
        state = create_state(start.config, start.initialization)
    yield from start.data.describe()
    looked = survey(start.data.training)
    yield (
        "Shorter sides of {:,} images: median {:,} pixels, from {:,} to {:,}".format(
            looked.count, *looked.shortest_sides
        )
    )
    yield from start.initialization.describe() if start.initialization is not None else ()
    yield from describe_start(start.config, run_dir, start.strategy, state)
    yield from plan_lines(start)
    yield from warnings_at_start(start.config, start.strategy)
    yield "Checks:"
    for name, warning in checked(_facts(start, state, looked, run_dir)):
        yield f"  {name}: {'ok' if warning is None else f'warning: {warning}'}"
    yield f"Compiling the training step and running {ITERATIONS + 1} iterations ..."
    first, seconds = _measured(start, state)
    yield from _memory(start, state)
    yield from _time(start, run_dir, first, seconds)
    yield "Nothing was written."


def _facts(start: Start, state: TrainState, looked, run_dir: str) -> Facts:
    config, source = start.config, start.data.training
    classes = config.model.num_classes
    return Facts(
        config=config,
        class_names=source.class_names,
        images_per_class=tuple(np.bincount(source.labels, minlength=classes)) if classes else (),
        num_images=source.num_images,
        survey=looked,
        shorter_side=min(image_size_from(config.model)),
        replicas=start.strategy.num_replicas_in_sync,
        plan=start.plan,
        checkpoint_bytes=sum(_sizes(state).values()),
        free_bytes=_free_bytes(run_dir),
        features=_num_features(config),
        missing_scores=_missing_scores(start) if config.run.eval_every else {},
    )


def _free_bytes(run_dir: str) -> int | None:
    """Returns the free bytes on a run's disk, or None if its folder is a remote address."""
    return None if file_system.is_remote(run_dir) else shutil.disk_usage(_existing(run_dir)).free


def _existing(path: str) -> str:
    """Returns a path if it exists, else the nearest folder above it that exists."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _num_features(config: TrainConfig) -> int | None:
    if config.run.eval_extractor == CLASSIFIER:
        return ClassifierSettings().feature_dim
    return expected_extractor(config.run.eval_extractor, None).num_features


def _missing_scores(start: Start) -> dict[str, str]:
    """Maps each score that the run cannot compute to the reason, as training would print it."""
    config, source = start.config, start.data.whole
    count, classes = config.run.eval_images, config.model.num_classes
    data = SourceImages(source, image_size_from(config.model), config.model.image_channels)
    labels = np.arange(count) % classes if classes else None
    names = complete_names(source.class_names, classes)
    generated = ImagesSummary(count, labels, names, True, "--eval_images")
    reference = summarize_images(data, "--dataset")
    extractor = expected_extractor(config.run.eval_extractor, data)
    return dict(computable(EvaluationPlan(generated, reference, extractor, DEFAULT), METRICS)[1])


def _measured(start: Start, state: TrainState) -> tuple[float, list[float]]:
    """Returns the seconds of the first iteration, with compilation, and of each later iteration."""
    config, strategy, source = start.config, start.strategy, start.data.training
    with naming_unreadable():
        batches = open_batches(config, strategy, source, state, 0)
        step = compiled_step(config, strategy, source, state)
        seconds = []
        for _ in range(1 + ITERATIONS):
            began = time.monotonic()
            metrics = step(batches, tf.constant(1))
            for value in metrics.values():
                np.asarray(value)  # This waits until a GPU has computed the value.
            seconds.append(time.monotonic() - began)
    return seconds[0], seconds[1:]


def _sizes(state: TrainState) -> dict[str, int]:
    """Returns how many bytes the variables take, for each part of a checkpoint."""
    parts = {
        "networks": (state.generator, state.discriminator),
        "moving average": (state.average,),
        "optimisers": (state.g_optimizer, state.d_optimizer),
    }
    return {
        name: sum(_bytes(variable) for part in owners for variable in part.variables)
        for name, owners in parts.items()
    }


def _bytes(variable) -> int:
    return int(np.prod(variable.shape)) * tf.as_dtype(variable.dtype).size


def _memory(start: Start, state: TrainState) -> Iterator[str]:
    sizes = _sizes(state)
    listed = ", ".join(f"{name} {size / MEGABYTE:,.1f}" for name, size in sizes.items())
    yield f"Memory of variables: {sum(sizes.values()) / MEGABYTE:,.1f} MB ({listed})"
    model = start.config.model
    pixels = math.prod(image_size_from(model))
    images = start.data.training.num_images * pixels * model.image_channels
    if images <= CACHE_LIMIT_BYTES:
        yield f"Memory of the data: {images / MEGABYTE:,.1f} MB (all images are kept in memory)"
    yield f"Peak memory so far: {_peak()}"


def _peak() -> str:
    devices = tf.config.list_logical_devices("GPU")
    peaks = [tf.config.experimental.get_memory_info(gpu.name)["peak"] for gpu in devices]
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    found = [
        f"{device.name} {peak / 1e9:.2f} GB" for device, peak in zip(devices, peaks, strict=True)
    ]
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return ", ".join([*found, f"this process {process / 1e9:.2f} GB of {total / 1e9:.0f} GB"])


def _time(start: Start, run_dir: str, first: float, seconds: list[float]) -> Iterator[str]:
    step, run = start.config.step, start.config.run
    each = float(np.median(seconds))
    listed = ", ".join(f"{one:.3g}" for one in seconds)
    rate = step.global_batch_size * step.num_d_steps / each
    yield f"First iteration, with compilation: {first:.0f} s"
    yield f"Next {len(seconds)} iterations: {listed} s, {rate:,.3g} images/s"
    done = max(checkpoint_iterations(run_dir), default=0)
    left = datetime.timedelta(seconds=round(first + each * max(0, run.num_iterations - done)))
    end = datetime.datetime.now().astimezone() + left
    yield (
        f"Expected end: in {left}, {end:%Y-%m-%d %H:%M %Z}, if the run starts now at iteration"
        f" {done:,}; samples, scores and checkpoints take additional time"
    )
