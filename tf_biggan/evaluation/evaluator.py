"""Sets of images against one reference, by one network: features, statistics, numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tf_biggan.evaluation.features.cache import ArrayCache
from tf_biggan.evaluation.features.extraction import FeatureExtraction, Features
from tf_biggan.evaluation.features.extractors import Extractor
from tf_biggan.evaluation.features.image_sets import ImageSet
from tf_biggan.evaluation.protocol import Protocol
from tf_biggan.evaluation.requirements import Network, network_of
from tf_biggan.evaluation.scores import metrics, statistics_files
from tf_biggan.evaluation.scores.frechet import feature_statistics
from tf_biggan.evaluation.scores.inception_score import inception_score
from tf_biggan.evaluation.scores.metrics import METRICS, Reference

UNKNOWN_ORIGIN = (
    "The file of statistics does not say how its images were cropped and resized; pytorch-fid, for"
    " one, resizes in another way than the Inception of 2015."
)


@dataclasses.dataclass
class Scores:
    """Numbers by name, and what has to be said about them.

    Attributes:
      values: the scores; standard deviations end in "_std".
      per_class: scores by class name, by the score's name.
      intervals: (lower, upper) of 95 % confidence, by the score's name.
      notes: sentences.
      extractors: identities of the networks, by name.
      images, reference: descriptions of both sides, with the hash of their images.
    """

    values: dict[str, float] = dataclasses.field(default_factory=dict)
    per_class: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    extractors: dict[str, Mapping] = dataclasses.field(default_factory=dict)
    images: dict[str, object] = dataclasses.field(default_factory=dict)
    reference: dict[str, object] = dataclasses.field(default_factory=dict)

    def join(self, other: Scores) -> None:
        """Takes over what another network found."""
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, dict):
                mine.update(theirs)
            else:
                mine += [note for note in theirs if note not in mine]


class Evaluator:
    """Scores by one network.

    Args:
      extractor: the network.
      strategy: whose replicas take features.
      batch_size: images of one replica at a time.
      cache: where features are kept.
      protocol: the choices that scores leave.
      bootstrap: resamples for confidence intervals; 0 for none.
    """

    def __init__(
        self,
        extractor: Extractor,
        strategy: tf.distribute.Strategy,
        batch_size: int,
        cache: ArrayCache,
        protocol: Protocol,
        bootstrap: int = 0,
    ):
        self.extractor, self.protocol = extractor, protocol
        self._bootstrap = bootstrap
        self._extraction = FeatureExtraction(extractor, strategy, batch_size, cache)

    def features(self, images: ImageSet) -> Features:
        """The features of a set, in the protocol's order."""
        found = self._extraction.of(images)
        # Generated images have an order of their own; that of their bytes could change by a single
        # rounding, and with it who shares a subset.
        return found if images.by_index else metrics.ordered(found, self.protocol)

    def reference(self, images: ImageSet) -> Reference:
        """A reference from images."""
        found = self.features(images)
        return Reference(
            feature_statistics(found.features),
            found,
            images.class_names,
            {**images.description, "sha256": found.sha256},
        )

    def reference_from_file(self, path: str, images: ImageSet) -> Reference:
        """A reference from a file of statistics.

        Args:
          path: of the file.
          images: what is to be evaluated against it.

        Raises:
          ValueError: it was made by another network or from images of another size.
        """
        statistics, stored = statistics_files.read_statistics(path)
        statistics_files.require_comparable(
            path,
            statistics,
            stored,
            images.description,
            self.extractor.identity,
            self._extraction.num_features(images.image_shape),
        )
        return Reference(statistics, None, (), {"statistics": path, **stored})

    def save_statistics(self, path: str, reference: Reference) -> None:
        """Writes a reference's statistics for later evaluations."""
        description = {**reference.description, "extractor": dict(self.extractor.identity)}
        statistics_files.write_statistics(path, reference.statistics, description)

    def network(self, image_shape: tuple[int, int, int]) -> Network:
        """The extractor as the requirements of metrics see it."""
        size = self._extraction.num_features(image_shape)
        return dataclasses.replace(network_of(self.extractor), num_features=size)

    def scores(self, images: ImageSet, reference: Reference, names: Sequence[str]) -> Scores:
        """Scores of a set of images.

        Args:
          images: the generated side.
          reference: the real side.
          names: of `METRICS`; `requirements.computable` tells which of them can be computed.

        Raises:
          ValueError: a metric needs what is not there.
        """
        found = self.features(images)
        scores = Scores(extractors={self.extractor.name: dict(self.extractor.identity)})
        scores.images = {**images.description, "sha256": found.sha256}
        scores.reference = dict(reference.description)
        if "statistics" in reference.description and "resolution" not in reference.description:
            scores.notes.append(UNKNOWN_ORIGIN)
        context = metrics.Context(
            found, reference, self.extractor, self.protocol, images.class_names, self._bootstrap
        )
        names = [*names, *metrics.beside_small_samples(context, names, scores.notes)]
        for name in names:
            self._add(scores, METRICS[name](context))
        return scores

    def score_of(self, reference: Reference) -> float | None:
        """The inception score of the reference's own images; None without logits or with fewer
        images than splits."""
        logits, splits = reference.features.logits, self.protocol.splits
        if logits is None or len(logits) < splits:
            return None
        return inception_score(logits, splits, self.protocol.shuffle_seed)[0]

    def _add(self, scores, result):
        prefix = self.extractor.prefix
        for own, values in (
            (scores.values, result.values),
            (scores.intervals, result.intervals),
            (scores.per_class, result.per_class),
        ):
            own.update({metrics.score_name(prefix, name): v for name, v in values.items()})
        scores.notes += [note for note in result.notes if note not in scores.notes]
