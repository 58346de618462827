"""From the settings of the evaluate command to scores: opens everything and has it scored."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from tf_biggan import checks
from tf_biggan.classes import match_classes, name_differences
from tf_biggan.data.source import Source
from tf_biggan.evaluation import report
from tf_biggan.evaluation.cache import ArrayCache
from tf_biggan.evaluation.curve_chart import chart
from tf_biggan.evaluation.evaluator import Evaluator, Scores
from tf_biggan.evaluation.extractors import Extractor
from tf_biggan.evaluation.generated import Drawing, GeneratedImages
from tf_biggan.evaluation.image_sets import ImageSet, PilResized, SourceImages, open_images
from tf_biggan.evaluation.metrics import BY_INDEX, Reference, score_name
from tf_biggan.evaluation.networks import named_network
from tf_biggan.evaluation.protocol import get_protocol
from tf_biggan.evaluation.selection import select
from tf_biggan.evaluation.settings import OTHER_IMAGES, EvaluateConfig
from tf_biggan.evaluation.truncation_curve import Point, columns
from tf_biggan.evaluation.truncation_curve import table as curve_table
from tf_biggan.images import save_png
from tf_biggan.open_model import OpenedModel, open_model
from tf_biggan.reference import ReferenceChoice, cache_of
from tf_biggan.training.distribution import create_strategy, is_chief
from tf_biggan.training.run_directory import is_run

# What mmagic resizes images to.
INPUT_SIZE = 299
SCORES_FILE = "scores.json"
FEATURES_FOLDER = "features"


def evaluate(config: EvaluateConfig) -> Scores:
    """Scores what the settings name, prints a table and writes the file.

    Raises:
      ValueError: something is missing, damaged or does not fit; nothing is written.
    """
    output = _output(config)
    evaluation = _Evaluation(config)
    if len(config.truncations()) > 1:
        return evaluate_curve(evaluation, output)
    scores = evaluation.scores()
    if not is_chief(evaluation.strategy):
        return scores
    print(evaluation.title(scores), *report.table(scores, evaluation.protocol.decimals), sep="\n")
    if output:
        report.write_text(output, report.to_json(scores, evaluation.description()))
        print(f"Written: {output}")
    return scores


def evaluate_curve(evaluation: _Evaluation, output: str | None) -> Scores:
    """Scores along the truncations: a table, a JSON file, and a chart beside it."""
    curve, scores, names, valid = evaluation.curve()
    found = columns(curve, valid)
    if not is_chief(evaluation.strategy):
        return scores
    print(evaluation.title(scores), *curve_table(curve, found, names), sep="\n")
    if output:
        points = {name: point and dataclasses.asdict(point) for name, point in found.items()}
        along = {
            "names": names,
            "valid_score": valid,
            "points": [dataclasses.asdict(point) for point in curve],
            "columns": points,
        }
        report.write_text(output, report.to_json(scores, evaluation.description(), along))
        picture = f"{os.path.splitext(output)[0]}.png"
        save_png(chart(curve, names, str(evaluation.title(scores))), picture)
        print(f"Written: {output}, {picture}")
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
        self.strategy = create_strategy(config.strategy, config.tpu)
        self._folder = cache_of(config.feature_cache)
        features = None if self._folder is None else os.path.join(self._folder, FEATURES_FOLDER)
        self._cache = ArrayCache(features)
        self._opened = self._open_model()
        self._images = None if config.images is None else self._open_images()
        self._source = self._open_reference()
        self._reference = self._reference_images()

    def scores(self) -> Scores:
        """All scores of all networks."""
        scores = Scores()
        for kind, names in self._selected.by_extractor.items():
            evaluator = self._evaluator(self._extractor(kind))
            images = self._images or self._generated(self._config.truncations()[0])
            reference = self._against(evaluator, images)
            for variant, some in self._variants(images, names):
                found = evaluator.scores(variant, reference, some, self._selected.explicit)
                scores.join(found)
            if self._saves_statistics and kind == self._selected.primary:
                evaluator.save_statistics(self._config.save_statistics, reference)
        scores.notes += self._left_out() + self._notes_on_classes()
        return scores

    def _left_out(self) -> list[str]:
        """Notes on folders of which not every file was taken."""
        sets = (self._images, self._reference)
        return list(dict.fromkeys(note for images in sets if images for note in images.notes))

    def _variants(self, images: ImageSet, names: tuple[str, ...]):
        """(images, metrics): where the protocol resizes for the inception score, it comes first."""
        if self.protocol.is_resize == "tf1" or "is" not in names:
            return [(images, names)]
        others = tuple(name for name in names if name != "is")
        return [(PilResized(images, INPUT_SIZE), ("is",)), (images, others)]

    def curve(self) -> tuple[list[Point], Scores, tuple[str, str], float | None]:
        """(points, scores without truncation, names of the two scores, the valid score)."""
        config, primary = self._config, self._selected.primary
        checks.require(
            config.model is not None, "a truncation curve needs --model", images=config.images
        )
        evaluator = self._evaluator(self._extractor(primary))
        prefix = evaluator.extractor.prefix
        names = score_name(prefix, "fid"), score_name(prefix, "is")
        points, reference = [], None
        for truncation in (*config.truncations(), None):
            images = self._generated(truncation)
            reference = reference or self._against(evaluator, images)
            scores = evaluator.scores(images, reference, ("fid", "is"))
            points.append(Point(truncation, *(scores.values[name] for name in names)))
        valid = config.valid_score
        if valid is None and reference.features is not None:
            valid = evaluator.score_of(reference)
        scores.notes += self._left_out() + self._notes_on_classes()
        return points, scores, names, valid

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

    def _against(self, evaluator: Evaluator, images: ImageSet) -> Reference:
        if self._reference is None:
            return evaluator.reference_from_file(self._config.reference, images)
        return evaluator.reference(self._reference)

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

    def _extractor(self, kind: str) -> Extractor:
        checks.require(
            kind != "classifier" or self._reference is not None,
            "the classifier needs the images of the reference, not only their statistics",
            reference=self._config.reference,
        )
        return named_network(
            kind,
            self._source,
            self._reference,
            self.strategy,
            cache=self._folder,
            layer=self._config.layer,
            inception_weights=self._config.inception_weights,
            bias=self.protocol.bias,
        )

    def _evaluator(self, extractor: Extractor) -> Evaluator:
        config = self._config
        return Evaluator(
            extractor,
            self.strategy,
            config.batch_size,
            self._cache,
            self.protocol,
            config.bootstrap,
        )
