"""From the settings of the evaluate command to scores: opens everything and has it scored."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from tf_biggan import checks
from tf_biggan.cli.evaluate_settings import OTHER_IMAGES, EvaluateConfig
from tf_biggan.data.classes import match_classes, name_differences
from tf_biggan.data.source import Source
from tf_biggan.devices.strategy import create_strategy, is_chief
from tf_biggan.evaluation import report
from tf_biggan.evaluation.evaluator import Evaluator, Scores
from tf_biggan.evaluation.features.cache import ArrayCache
from tf_biggan.evaluation.features.classifier import training_images
from tf_biggan.evaluation.features.generated_images import Drawing, GeneratedImages
from tf_biggan.evaluation.features.image_sets import ImageSet, PilResized, SourceImages, open_images
from tf_biggan.evaluation.features.named_extractor import named_network
from tf_biggan.evaluation.inception.weights import NoWeightsError
from tf_biggan.evaluation.matched_labels import BY_INDEX
from tf_biggan.evaluation.protocol import get_protocol
from tf_biggan.evaluation.reference import ReferenceChoice, cache_of
from tf_biggan.evaluation.requirements import (
    Prospect,
    Side,
    computable,
    network_named,
    side_of,
)
from tf_biggan.evaluation.score_files import write_scores
from tf_biggan.evaluation.scores.metrics import Reference, score_name
from tf_biggan.evaluation.scores.statistics_files import read_statistics
from tf_biggan.evaluation.selection import select
from tf_biggan.evaluation.truncation_curve import Curve, Point
from tf_biggan.store.opened_model import OpenedModel, open_model
from tf_biggan.store.run_directory import is_run

# What mmagic resizes images to.
INPUT_SIZE = 299
SCORES_FILE = "scores.json"
FEATURES_FOLDER = "features"


def evaluate(config: EvaluateConfig) -> Scores:
    """Scores what the settings name, prints a table and writes the files.

    Returns:
      The scores; of a truncation curve those without truncation.

    Raises:
      ValueError: something is missing, damaged or does not fit, or no metric can be computed;
        nothing is written.
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
    title = evaluation.title(scores)
    table = report.table(scores, evaluation.protocol.decimals) if curve is None else curve.table()
    print(title, *table, *(f"Note: {note}" for note in scores.notes), sep="\n")
    if output:
        print(*write_scores(output, scores, evaluation.description(), title, curve), sep="\n")
    return scores


def _output(config: EvaluateConfig) -> str | None:
    """Where the scores go; checked before the work begins."""
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
    """The parts of one evaluation."""

    def __init__(self, config: EvaluateConfig):
        self._config = config
        self.protocol = get_protocol(config.protocol)
        self._selected = select(config, self.protocol)
        self.strategy = create_strategy(config.strategy, config.tpu, config.cpu_replicas)
        self._folder = cache_of(config.feature_cache)
        features = None if self._folder is None else os.path.join(self._folder, FEATURES_FOLDER)
        self._cache = ArrayCache(features)
        self._opened = self._open_model()
        self._images = None if config.images is None else self._open_images()
        self._source = self._open_reference()
        self._reference = self._reference_images()
        self._evaluators: dict[str, Evaluator] = {}
        self._references: dict[str, Reference] = {}
        self.notes: list[str] = []
        self._metrics = self._computable()

    def scores(self, truncation: float | None) -> Scores:
        """All scores of all networks at one truncation."""
        scores = Scores(notes=list(self.notes))
        images = self._images or self._generated(truncation)
        for kind, names in self._metrics.items():
            evaluator = self._evaluator(kind)
            reference = self._against(kind, images)
            for variant, some in self._variants(images, names):
                scores.join(evaluator.scores(variant, reference, some))
            if self._saves_statistics and kind == self._selected.primary:
                evaluator.save_statistics(self._config.save_statistics, reference)
        scores.notes += self._left_out() + self._notes_on_classes()
        return scores

    def curve(self) -> tuple[Curve, Scores]:
        """(the curve of all scores, the scores without truncation)."""
        config, primary = self._config, self._selected.primary
        names = self._names_of_paper()
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
            valid = self._evaluator(primary).score_of(self._references[primary])
        return Curve(points, names, valid, config.truncation_mode), scores

    def _names_of_paper(self) -> tuple[str, str] | None:
        """What the distance and the score of the paper's columns are called; None without both."""
        primary = self._selected.primary
        if not {"fid", "is"} <= set(self._metrics.get(primary, ())):
            return None
        prefix = self._evaluator(primary).extractor.prefix
        return score_name(prefix, "fid"), score_name(prefix, "is")

    def _computable(self) -> dict[str, tuple[str, ...]]:
        """The metrics that can be computed, by network; `notes` tells why the others cannot.

        Raises:
          ValueError: none can be computed, or statistics are to be saved that are not taken.
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
        """(the metrics that a network can compute, why it cannot compute the others)."""
        sides = self._sides(images)
        trained_on = self._reference and training_images(self._source, self._reference)
        network = network_named(kind, trained_on)
        names, left_out = computable(Prospect(*sides, network, self.protocol), names)
        if not names:
            return (), left_out
        try:
            network = self._evaluator(kind).network(images.image_shape)
        except NoWeightsError as error:
            return (), left_out | dict.fromkeys(names, str(error).removesuffix("."))
        names, more = computable(Prospect(*sides, network, self.protocol), names)
        return names, left_out | more

    def _sides(self, images: ImageSet) -> tuple[Side, Side]:
        """What is known of both sides before features are taken."""
        config = self._config
        ours = side_of(images, "--num_images" if config.images is None else "--images")
        if self._reference is not None:
            taken = "--reference" if config.reference_images is None else "--reference_images"
            return ours, side_of(self._reference, taken)
        _, stored = read_statistics(config.reference)
        return ours, Side(stored.get("count"), None, (), False, "--reference")

    def _left_out(self) -> list[str]:
        """Notes on folders of which not every file was taken."""
        sets = (self._images, self._reference)
        return list(dict.fromkeys(note for images in sets if images for note in images.notes))

    def _variants(self, images: ImageSet, names: tuple[str, ...]):
        """(images, metrics): where the protocol resizes for the inception score, it comes first."""
        if self.protocol.is_resize == "tf1" or "is" not in names:
            return [(images, names)]
        others = tuple(name for name in names if name != "is")
        resized = (PilResized(images, INPUT_SIZE), ("is",))
        return [resized, (images, others)] if others else [resized]

    @property
    def _saves_statistics(self) -> bool:
        return self._config.save_statistics is not None and is_chief(self.strategy)

    def title(self, scores: Scores) -> str:
        """What the scores are of, in a line."""
        model = scores.images.get("model", {})
        facts = [f"{key} {model[key]}" for key in ("weights", "iteration") if key in model]
        of = self._config.model or self._config.images
        against = scores.reference.get("statistics") or scores.reference.get("images")
        count = scores.reference.get("count")
        which = f" ({', '.join(facts)})" if facts else ""
        size = f" ({count:,} images)" if count else ""
        return f"{of}{which}: {scores.images['count']:,} images against {against}{size}"

    def description(self) -> dict:
        """How it was done, for the file of scores."""
        return {
            "name": self.protocol.name,
            "choices": self.protocol.description(),
            "replicas": self.strategy.num_replicas_in_sync,
            "batch_size": self._config.batch_size,
        }

    def _open_model(self) -> OpenedModel | None:
        config = self._config
        if config.model is None:
            return None
        with self.strategy.scope():
            return open_model(config.model, raw=config.raw, iteration=config.iteration)

    def _open_images(self) -> ImageSet:
        config = self._config
        size = None if config.resolution is None else (config.resolution, config.resolution)
        return open_images(config.images, size, config.image_channels, config.num_images)

    def _open_reference(self) -> Source | None:
        """The data source to compare with; None where it is a file of statistics."""
        config = self._config
        if config.reference is not None and config.reference.endswith(".npz"):
            checks.require_existing("reference", config.reference, "a file of statistics")
            return None
        chosen = ReferenceChoice(
            config.reference,
            config.reference_split,
            config.data_dir,
            config.download,
            config.model,
            self.protocol.reference_split,
        )
        return chosen.open()

    def _reference_images(self) -> ImageSet | None:
        if self._source is None:
            return None
        if self._opened is not None:
            shape = (*self._opened.generator.image_size, self._opened.generator.image_channels)
        else:
            shape = self._images.image_shape
        return SourceImages(self._source, shape[:2], shape[2], self._config.reference_images)

    def _against(self, kind: str, images: ImageSet) -> Reference:
        """The reference by a network's features; taken once."""
        if kind not in self._references:
            evaluator = self._evaluator(kind)
            self._references[kind] = (
                evaluator.reference_from_file(self._config.reference, images)
                if self._reference is None
                else evaluator.reference(self._reference)
            )
        return self._references[kind]

    def _generated(self, truncation: float | None) -> ImageSet:
        config, opened = self._config, self._opened
        default = self.protocol.num_images if self._selected.has_inception else OTHER_IMAGES
        drawing = Drawing(
            config.num_images or default,
            config.seed,
            truncation,
            config.truncation_mode,
            config.bn,
            config.label_sampling or self.protocol.label_sampling,
        )
        return GeneratedImages(
            opened.generator,
            drawing,
            self.strategy,
            config.batch_size,
            opened.description,
            opened.class_names,
            self._label_counts() if drawing.label_sampling == "data" else None,
        )

    def _label_counts(self):
        """Images of the reference by class of the model; None where their classes are not known.

        Raises:
          ValueError: the reference has images of a class that the model lacks.
        """
        source, classes = self._source, self._opened.generator.num_classes
        if source is None or not source.num_classes:
            return None
        counts = source.label_counts()
        names = self._opened.class_names
        if not names:
            return counts
        matched = match_classes(source.class_names, names)
        unknown = [n for n, i in zip(source.class_names, matched, strict=True) if i < 0]
        checks.require(
            not unknown,
            "--label_sampling=data draws the classes of the reference, so that the model must have"
            f" them; {name_differences(names, source.class_names, 'the model', 'the reference')}",
            reference=source.name,
        )
        made = np.zeros(classes, counts.dtype)
        made[list(matched)] = counts
        return made

    def _notes_on_classes(self) -> list[str]:
        """What the reader of a score has to know about whose classes are compared."""
        if self._opened is None or self._source is None or not self._source.num_classes:
            return []
        ours, theirs = self._opened.class_names, self._source.class_names
        if not self._opened.generator.num_classes:
            return []
        sampled = self._config.label_sampling or self.protocol.label_sampling
        if not ours:
            return [BY_INDEX] if sampled == "data" else []
        difference = name_differences(ours, theirs, "the model", "the reference")
        return [f"The model and the reference have other classes; {difference}."] * bool(difference)

    def _evaluator(self, kind: str) -> Evaluator:
        """What scores by a network, which is opened once."""
        if kind not in self._evaluators:
            config = self._config
            extractor = named_network(
                kind,
                self._source,
                self._reference,
                self.strategy,
                cache=self._folder,
                layer=config.layer,
                inception_weights=config.inception_weights,
                bias=self.protocol.bias,
            )
            self._evaluators[kind] = Evaluator(
                extractor,
                self.strategy,
                config.batch_size,
                self._cache,
                self.protocol,
                config.bootstrap,
            )
        return self._evaluators[kind]
