"""The evaluate command: opens the images and the reference, computes scores, writes the files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from tf_biggan import checks
from tf_biggan.cli.evaluate_settings import OTHER_IMAGES, EvaluateConfig
from tf_biggan.data.source import Source
from tf_biggan.devices.strategy import create_strategy, is_chief
from tf_biggan.evaluation import score_files
from tf_biggan.evaluation.class_matching import label_counts_for_model, notes_on_classes
from tf_biggan.evaluation.comparison import Comparison, cache_of, open_real_images
from tf_biggan.evaluation.evaluator import Evaluator, Scores
from tf_biggan.evaluation.features.generated_images import GeneratedImages, Sampling
from tf_biggan.evaluation.features.image_sets import ImageSet, PilResized, SourceImages, open_images
from tf_biggan.evaluation.inception.architecture import INPUT_SIZE
from tf_biggan.evaluation.inception.extractor import NoWeightsError
from tf_biggan.evaluation.metrics import ReferenceFeatures, score_name
from tf_biggan.evaluation.protocol import get_protocol
from tf_biggan.evaluation.requirements import (
    EvaluationPlan,
    ImagesSummary,
    computable,
    expected_extractor,
    select,
    summarize_images,
)
from tf_biggan.evaluation.scores.statistics_files import read_statistics
from tf_biggan.evaluation.truncation_curve import Curve, Point
from tf_biggan.store.opened_model import open_model
from tf_biggan.store.run_directory import is_run

SCORES_FILE = "scores.json"


def evaluate(config: EvaluateConfig) -> Scores:
    """Computes the scores that the settings ask for, prints a table and writes the files.

    Returns:
      The scores; of a truncation curve, the scores without truncation.

    Raises:
      ValueError: something is missing, damaged or does not fit, or no metric can be computed. No
        file is written then.
    """
    output = _output(config)
    evaluation = _Evaluation(config)
    chief = is_chief(evaluation.strategy)
    for note in evaluation.notes if chief else ():
        print(f"Note: {note}", flush=True)
    curve = None
    if len(config.truncations()) > 1:
        curve, scores = evaluation.curve()
    else:
        scores = evaluation.scores(config.truncations()[0])
    if not chief:
        return scores
    title = score_files.title(scores, config.model or config.images)
    table = (
        score_files.table(scores, evaluation.protocol.decimals) if curve is None else curve.table()
    )
    print(title, *table, *(f"Note: {note}" for note in scores.notes), sep="\n")
    if output:
        how = {
            "name": evaluation.protocol.name,
            "choices": evaluation.protocol.description(),
            "replicas": evaluation.strategy.num_replicas_in_sync,
            "batch_size": config.batch_size,
        }
        print(*score_files.write_scores(output, scores, how, title, curve), sep="\n")
    return scores


def _output(config: EvaluateConfig) -> str | None:
    """Returns the path of the JSON file, checked before the work begins; None for no file."""
    output = config.output
    if output is None and config.model is not None and is_run(config.model):
        output = os.path.join(config.model, SCORES_FILE)
    checks.require(
        output is None or not os.path.isdir(output),
        "`output` must be a file, not a folder",
        output=output,
    )
    return output


class _Evaluation:
    """Everything that one evaluation opens; extractors and references are opened only once."""

    def __init__(self, config: EvaluateConfig):
        self._config = config
        self.protocol = get_protocol(config.protocol)
        self._selected = select(config, self.protocol)
        self.strategy = create_strategy(config.strategy, config.tpu, config.cpu_replicas)
        self._saves_statistics = config.save_statistics is not None and is_chief(self.strategy)
        self._opened = self._images = None
        if config.model is not None:
            with self.strategy.scope():
                self._opened = open_model(config.model, raw=config.raw, iteration=config.iteration)
            generator = self._opened.generator
            image_shape = (*generator.image_size, generator.image_channels)
        else:
            size = None if config.resolution is None else (config.resolution, config.resolution)
            self._images = open_images(
                config.images, size, config.image_channels, config.num_images
            )
            image_shape = self._images.image_shape
        self._comparison = _open_comparison(
            config, self.strategy, image_shape, self.protocol.reference_split, self.protocol.bias
        )
        self._evaluators: dict[str, Evaluator] = {}
        self._references: dict[str, ReferenceFeatures] = {}
        self.notes: list[str] = []
        self._metrics = self._computable()

    def scores(self, truncation: float | None) -> Scores:
        """Computes all scores of all extractors at one truncation."""
        scores = Scores(notes=list(self.notes))
        images = self._images or self._generated(truncation)
        for kind, names in self._metrics.items():
            evaluator = self._evaluator(kind)
            reference = self._reference(kind, images)
            for variant, some in self._resized_for(images, names):
                scores.join(evaluator.scores(variant, reference, some))
            if self._saves_statistics and kind == self._selected.primary:
                evaluator.save_statistics(self._config.save_statistics, reference)
        scores.notes += self._notes_on_images()
        return scores

    def curve(self) -> tuple[Curve, Scores]:
        """Returns the scores along all truncations, and the scores without truncation."""
        config, primary = self._config, self._selected.primary
        names = None
        if {"fid", "is"} <= set(self._metrics.get(primary, ())):
            prefix = self._evaluator(primary).extractor.prefix
            names = score_name(prefix, "fid"), score_name(prefix, "is")
        checks.require(
            names is not None or config.valid_score is None,
            "`valid_score` needs the metrics fid and is",
            valid_score=config.valid_score,
            metrics=config.metrics,
        )
        points = []
        for truncation in (*config.truncations(), None):
            scores = self.scores(truncation)
            points.append(Point(truncation, scores.values))
        valid = config.valid_score
        if names and valid is None and self._references[primary].features is not None:
            valid = self._evaluator(primary).inception_score_of(self._references[primary])
        return Curve(points, names, valid, config.truncation_mode), scores

    def _computable(self) -> dict[str, tuple[str, ...]]:
        """Returns the metrics that can be computed, by extractor; adds notes about the others.

        Raises:
          ValueError: no metric can be computed, or statistics are to be saved of an extractor that
            cannot be used.
        """
        images = self._images or self._generated(self._config.truncations()[0])
        found: dict[str, tuple[str, ...]] = {}
        names_of: dict[str, list[str]] = {}
        for kind, names in self._selected.by_extractor.items():
            kept, reasons = self._computable_by(kind, names, images)
            if kept:
                found[kind] = kept
            for name, reason in reasons.items():
                names_of.setdefault(reason, []).append(self._selected.asked_as(kind, name))
        self.notes = [f"No {', '.join(names)}: {why}." for why, names in names_of.items()]
        if not found or (self._saves_statistics and self._selected.primary not in found):
            raise ValueError(" ".join(self.notes))
        return found

    def _computable_by(
        self, kind: str, names: Sequence[str], images: ImageSet
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """Returns the metrics that an extractor can compute, and why it cannot compute others."""
        count_flag = "--num_images" if self._config.images is None else "--images"
        plan = EvaluationPlan(
            summarize_images(images, count_flag),
            self._reference_summary(),
            expected_extractor(kind, self._comparison.classifier_images()),
            self.protocol,
        )
        names, left_out = computable(plan, names)
        if not names:
            return (), left_out
        try:
            extractor = self._evaluator(kind).extractor_summary(images.image_shape)
        except NoWeightsError as error:
            return (), left_out | dict.fromkeys(names, str(error).removesuffix("."))
        # The number of features is known now.
        names, more = computable(dataclasses.replace(plan, extractor=extractor), names)
        return names, left_out | more

    def _reference_summary(self) -> ImagesSummary:
        config, real_images = self._config, self._comparison.real_images
        if real_images is not None:
            flag = "--reference" if config.reference_images is None else "--reference_images"
            return summarize_images(real_images, flag)
        _, stored = read_statistics(config.reference)
        return ImagesSummary(stored.get("count"), None, (), False, "--reference")

    def _notes_on_images(self) -> list[str]:
        """Returns notes on files that were left out and on classes that differ."""
        sets = (self._images, self._comparison.real_images)
        notes = list(dict.fromkeys(note for images in sets if images for note in images.notes))
        if self._opened is not None:
            notes += notes_on_classes(
                self._comparison.source,
                self._opened.class_names,
                self._opened.generator.num_classes,
                self._config.label_sampling or self.protocol.label_sampling,
            )
        return notes

    def _resized_for(
        self, images: ImageSet, names: tuple[str, ...]
    ) -> list[tuple[ImageSet, tuple[str, ...]]]:
        """Returns which metrics are computed from which images, resized as the protocol says."""
        if self.protocol.is_resize == "tf1" or "is" not in names:
            return [(images, names)]
        others = tuple(name for name in names if name != "is")
        resized = (PilResized(images, INPUT_SIZE), ("is",))
        return [resized, (images, others)] if others else [resized]

    def _generated(self, truncation: float | None) -> ImageSet:
        config, opened = self._config, self._opened
        default = self.protocol.num_images if self._selected.has_inception else OTHER_IMAGES
        label_sampling = config.label_sampling or self.protocol.label_sampling
        label_counts = None
        if label_sampling == "data":
            label_counts = label_counts_for_model(
                self._comparison.source, opened.class_names, opened.generator.num_classes
            )
        sampling = Sampling(
            config.num_images or default,
            config.seed,
            truncation,
            config.truncation_mode,
            config.bn,
            label_sampling,
        )
        return GeneratedImages(
            opened.generator,
            sampling,
            self.strategy,
            config.batch_size,
            opened.description,
            opened.class_names,
            label_counts,
        )

    def _reference(self, kind: str, images: ImageSet) -> ReferenceFeatures:
        """Returns the reference's features by one extractor."""
        if kind not in self._references:
            evaluator, real_images = self._evaluator(kind), self._comparison.real_images
            self._references[kind] = (
                evaluator.reference_from_file(self._config.reference, images)
                if real_images is None
                else evaluator.reference(real_images)
            )
        return self._references[kind]

    def _evaluator(self, kind: str) -> Evaluator:
        if kind not in self._evaluators:
            extraction = self._comparison.extraction(kind)
            self._evaluators[kind] = Evaluator(extraction, self.protocol, self._config.bootstrap)
        return self._evaluators[kind]


def _open_comparison(
    config: EvaluateConfig, strategy, image_shape, tfds_split: str | None, bias: bool
) -> Comparison:
    """Opens the reference at the size of the images, unless it is a file of statistics."""
    source: Source | None = None
    real_images = None
    if config.reference is None or not config.reference.endswith(".npz"):
        source = open_real_images(
            config.reference,
            config.reference_split,
            config.data_dir,
            config.download,
            config.model,
            tfds_split,
        )
        height, width, channels = image_shape
        real_images = SourceImages(source, (height, width), channels, config.reference_images)
    else:
        checks.require_existing("reference", config.reference, "a file of statistics")
    return Comparison(
        strategy,
        source,
        real_images,
        cache_of(config.feature_cache),
        config.batch_size,
        config.layer,
        config.inception_weights,
        bias,
    )
