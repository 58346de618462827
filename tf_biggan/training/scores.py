"""Scores of the moving average during training, and the best checkpoint by each score."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.classes import complete_names
from tf_biggan.data.source import Source
from tf_biggan.evaluation.comparison import Comparison
from tf_biggan.evaluation.evaluator import Evaluator, read_statistics
from tf_biggan.evaluation.features.extraction import cache_folder
from tf_biggan.evaluation.features.generated_images import GeneratedImages, Sampling
from tf_biggan.evaluation.features.image_sets import SourceImages
from tf_biggan.evaluation.metrics import ReferenceFeatures, score_name
from tf_biggan.evaluation.protocol import DEFAULT
from tf_biggan.evaluation.requirements import (
    EvaluationPlan,
    ImagesSummary,
    computable,
    expected_extractor,
    summarize_images,
)
from tf_biggan.files.json_files import field, key_of
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.run_directory import (
    read_data_identity,
    read_initialization,
    write_config,
    write_initialization,
)
from tf_biggan.training.logs import METRICS_FILE, read_metrics
from tf_biggan.training.sample_variety import VARIETY, SampleVariety
from tf_biggan.training.state import TrainState

METRICS = ("fid", "is", "accuracy")
# The scores whose best checkpoint is kept, and whether a lower score is better.
BEST = {"fid": True, "is": False}
BATCH_SIZE = 64
# The entry of RUN/metrics.jsonl that identifies how the scores of the line were measured.
SCORED_AS = "scored_as"
KEY_LENGTH = 12
# Start of the name of the folder with the best checkpoint by a score.
BEST_FOLDER = "best-"


class RunEvaluation:
    """Computes scores of a run's moving average, and keeps the best checkpoint by each score.

    The folder RUN/best-SCORE is itself a run with one checkpoint, the best by this score. Every
    command can open the folder, and a copy of the folder can be trained further.

    Args:
      config: The configuration of the run.
      run_dir: Folder of the run.
      strategy: The strategy whose replicas generate images and extract features.
      source: The data of the run, including held-out images. Generated images are compared with
        these images, unless the settings name another reference.
      state: The state of the run.
      iteration: The iteration from which the run resumes. Logged scores of later iterations are
        ignored.
      writes: Whether this process writes the files.

    Raises:
      ValueError: The extractor or its reference does not fit the data, or no metric can be
        computed.
    """

    def __init__(
        self,
        config: TrainConfig,
        run_dir: str,
        strategy: tf.distribute.Strategy,
        source: Source,
        state: TrainState,
        iteration: int,
        writes: bool,
    ):
        generator, settings = state.average, config.run
        self._config, self._run_dir, self._writes = config, run_dir, writes
        self._state = state
        self._class_names = complete_names(source.class_names, config.model.num_classes)
        shape = (*generator.image_size, generator.image_channels)
        data = SourceImages(source, shape[:2], shape[2])
        sampling = Sampling(settings.eval_images, settings.seed, label_sampling=_labels(config))
        self._images = GeneratedImages(
            generator,
            sampling,
            strategy,
            BATCH_SIZE,
            {"path": run_dir},
            self._class_names,
            np.bincount(source.labels, minlength=config.model.num_classes)
            if config.model.num_classes
            else None,
            source.soft_labels,
            trains=True,
        )
        self._variety = SampleVariety(
            self._images, data, source, config.model.num_classes, settings.seed
        )
        reference = _reference_side(settings.eval_reference, data)
        self._metrics, self.notes = _computable(config, self._images, reference, data)
        comparison = Comparison(
            strategy,
            source,
            data,
            cache_folder(),
            BATCH_SIZE,
            inception_weights=settings.inception_weights,
            bias=DEFAULT.bias,
        )
        self._evaluator = Evaluator(comparison.extraction(settings.eval_extractor), DEFAULT)
        extractor = self._evaluator.extractor
        self._reference = self._open_reference(settings.eval_reference, data)
        self._noted: set[str] = set()
        reference = self._reference.description.get("sha256"), settings.eval_reference
        measured = {"extractor": extractor.identity, "images": settings.eval_images}
        # Scores with another extractor, reference or number of images cannot be compared.
        self.scored_as = key_of(measured | {"reference": reference})[:KEY_LENGTH]
        names = {score_name(extractor.prefix, name): less for name, less in BEST.items()}
        self._less_is_better = names
        self._best = _best_until(run_dir, iteration, names, self.scored_as)
        self._kept: dict[str, Checkpoints] = {}

    def scores(self) -> tuple[dict[str, float], tuple[str, ...]]:
        """Computes the scores of the moving average. Saves a checkpoint if a score is the best yet.

        Returns:
          (scores by name, notes about the scores). Each note is returned only once.
        """
        found = self._evaluator.scores(self._images, self._reference, self._metrics)
        values = {**found.values, VARIETY: self._variety.ratio()}
        for name, less in self._less_is_better.items():
            if name in values and _is_better(values[name], self._best.get(name), less):
                self._best[name] = values[name]
                self._keep(name)
        new = tuple(note for note in found.notes if note not in self._noted)
        self._noted.update(new)
        return values, new

    @property
    def kept_scores(self) -> tuple[str, ...]:
        """Names of the scores by which a best checkpoint is kept; the Fréchet distance is first."""
        return tuple(self._less_is_better)

    def line(self, iteration: int, scores: Mapping[str, float]) -> str:
        """Returns the line that is printed after an evaluation."""
        listed = ", ".join(
            f"{name} {value:.4g}" for name, value in scores.items() if not name.endswith("_std")
        )
        return f"Scores at iteration {iteration}: {listed}"

    def _keep(self, name):
        folder = os.path.join(self._run_dir, f"{BEST_FOLDER}{name}")
        if self._writes:
            identity = read_data_identity(self._run_dir)
            write_config(folder, self._config, self._class_names, identity)
            if (record := read_initialization(self._run_dir)) is not None:
                write_initialization(folder, record)
        if name not in self._kept:
            self._kept[name] = Checkpoints(self._state, folder, keep=1, writes=self._writes)
        self._kept[name].save()

    def _open_reference(self, path: str | None, data: SourceImages) -> ReferenceFeatures:
        if path is not None:
            return self._evaluator.reference_from_file(path, self._images)
        reference = self._evaluator.reference(data)
        fewest = min(self._config.run.eval_images, data.count)
        if fewest <= len(reference.statistics.mean):
            # For so few images, the kernel distance is computed as well. It needs the features.
            return reference
        # Other metrics do not need the features, which may take gigabytes.
        return dataclasses.replace(reference, features=None)


def _reference_side(path: str | None, data: SourceImages) -> ImagesSummary:
    """Returns a description of the reference that generated images are compared with.

    A file of statistics is read here, so that errors show early.
    """
    if path is None:
        return summarize_images(data, "--dataset")
    _, stored = read_statistics(path)
    return ImagesSummary(stored.get("count"), None, (), False, "--eval_reference")


def _computable(
    config: TrainConfig, images: GeneratedImages, reference: ImagesSummary, data: SourceImages
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the metrics that can be computed, and notes on why the others cannot."""
    name = config.run.eval_extractor
    generated = summarize_images(images, "--eval_images")
    plan = EvaluationPlan(generated, reference, expected_extractor(name, data), DEFAULT)
    kept, reasons = computable(plan, METRICS)
    notes = tuple(f"No {metric} during training: {why}." for metric, why in reasons.items())
    checks.require(
        bool(kept),
        f"no score can be computed during training. {' '.join(notes)} Set --eval_every=0 to"
        " train without scores",
        eval_extractor=name,
    )
    return kept, notes


def _labels(config: TrainConfig) -> str:
    return "data" if config.step.label_sampling == "data" else "uniform"


def _best_until(
    run_dir: str, iteration: int, names: Mapping[str, bool], scored_as: str
) -> dict[str, float]:
    """Returns the best scores up to an iteration. Scores measured in another way do not count."""
    best: dict[str, float] = {}
    place = os.path.join(run_dir, METRICS_FILE)
    for entry in read_metrics(run_dir):
        if entry["iteration"] > iteration or entry.get(SCORED_AS) != scored_as:
            continue
        for name, less in names.items():
            value = field(entry, name, "float | None", place, None)
            if value is not None and _is_better(value, best.get(name), less):
                best[name] = value
    return best


def _is_better(value: float, best: float | None, less: bool) -> bool:
    if not math.isfinite(value):
        return False
    if best is None:
        return True
    return value < best if less else value > best
