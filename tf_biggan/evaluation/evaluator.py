"""Computes scores of generated images against a reference, with one feature extractor.

The reference may be a file of feature statistics that this package, pytorch-fid or TTUR wrote. Such
a file is an npz with the arrays "mu" [D] and "sigma" [D, D]. Files of this package also have a
"description" of the images and the extractor. Other programs can read these files too.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np

from tf_biggan import checks
from tf_biggan.evaluation import metrics
from tf_biggan.evaluation.features.extraction import FeatureExtraction, Features
from tf_biggan.evaluation.features.image_sets import ImageSet
from tf_biggan.evaluation.metrics import METRICS, ReferenceFeatures
from tf_biggan.evaluation.protocol import Protocol
from tf_biggan.evaluation.requirements import ExtractorSummary, summarize_extractor
from tf_biggan.evaluation.scores.feature_scores import inception_score
from tf_biggan.evaluation.scores.frechet import FeatureStatistics, feature_statistics
from tf_biggan.files.array_files import read_npz
from tf_biggan.files.atomic import replaced
from tf_biggan.files.json_files import field, parse_json

UNKNOWN_ORIGIN = (
    "The file of statistics does not record how its images were cropped and resized. Some programs,"
    " such as pytorch-fid, resize images differently from Inception's graph of 2015."
)
DESCRIPTION = "description"
# Parts of the descriptions that must agree for a distance between two sets of images to make sense.
COMPARED = ("resolution", "crop", "resize")


@dataclasses.dataclass
class Scores:
    """Scores by name, with what is needed to interpret them.

    Attributes:
      values: the scores; names of standard deviations end in "_std".
      per_class: scores by the score's name, then by class name.
      intervals: 95 % confidence intervals (lower, upper) by the score's name.
      notes: sentences for the reader of the scores.
      extractors: identities of the feature extractors by their names.
      images: description of the generated images, with their hash.
      reference: description of the reference, with the hash of its images.
    """

    values: dict[str, float] = dataclasses.field(default_factory=dict)
    per_class: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    extractors: dict[str, Mapping] = dataclasses.field(default_factory=dict)
    images: dict[str, object] = dataclasses.field(default_factory=dict)
    reference: dict[str, object] = dataclasses.field(default_factory=dict)

    def join(self, other: Scores) -> None:
        """Adds the scores of another feature extractor."""
        for own in dataclasses.fields(self):
            mine, theirs = getattr(self, own.name), getattr(other, own.name)
            if isinstance(mine, dict):
                mine.update(theirs)
            else:
                mine += [note for note in theirs if note not in mine]


class Evaluator:
    """Computes scores with one feature extractor.

    Args:
      extraction: the feature extractor, with the replicas that run it.
      protocol: choices that the definitions of scores leave open.
      bootstrap: number of bootstrap resamples for confidence intervals; 0 for no intervals.
    """

    def __init__(self, extraction: FeatureExtraction, protocol: Protocol, bootstrap: int = 0):
        self.extractor, self.protocol = extraction.extractor, protocol
        self._extraction, self._bootstrap = extraction, bootstrap

    def features(self, images: ImageSet) -> Features:
        """Returns the features of images. All but generated images get the protocol's order."""
        found = self._extraction.of(images)
        # Generated images keep their order. If they were sorted by content, the rounding of one
        # pixel could change their order, and the order decides which images share a subset.
        return found if images.by_index else metrics.ordered(found, self.protocol)

    def reference(self, images: ImageSet) -> ReferenceFeatures:
        """Returns the features and statistics of real images."""
        found = self.features(images)
        return ReferenceFeatures(
            feature_statistics(found.features),
            found,
            images.class_names,
            {**images.description, "sha256": found.sha256},
        )

    def reference_from_file(self, path: str, images: ImageSet) -> ReferenceFeatures:
        """Reads the statistics of real images from a file.

        Args:
          path: path of the file.
          images: the images that will be compared with the statistics.

        Raises:
          ValueError: the statistics belong to another extractor or to images of another size.
        """
        statistics, stored = read_statistics(path)
        require_comparable(
            path,
            statistics,
            stored,
            images.description,
            self.extractor.identity,
            self._extraction.num_features(images.image_shape),
        )
        return ReferenceFeatures(statistics, None, (), {"statistics": path, **stored})

    def save_statistics(self, path: str, reference: ReferenceFeatures) -> None:
        """Writes the statistics of a reference for later evaluations."""
        description = {**reference.description, "extractor": dict(self.extractor.identity)}
        write_statistics(path, reference.statistics, description)

    def extractor_summary(self, image_shape: tuple[int, int, int]) -> ExtractorSummary:
        """Returns the facts about the extractor that decide which metrics can be computed."""
        size = self._extraction.num_features(image_shape)
        return dataclasses.replace(summarize_extractor(self.extractor), num_features=size)

    def scores(
        self, images: ImageSet, reference: ReferenceFeatures, names: Sequence[str]
    ) -> Scores:
        """Computes scores of generated images.

        Args:
          images: the generated images.
          reference: features or statistics of the real images.
          names: metrics in `METRICS` that can be computed, see `requirements.computable`.

        Raises:
          ValueError: a metric cannot be computed from these images and this reference.
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

    def inception_score_of(self, reference: ReferenceFeatures) -> float | None:
        """Returns the Inception Score of the real images themselves.

        Returns:
          The score; None if there are no logits, or fewer images than splits.
        """
        logits, splits = reference.features.logits, self.protocol.splits
        if logits is None or len(logits) < splits:
            return None
        return inception_score(logits, splits, self.protocol.shuffle_seed)[0]

    def _add(self, scores: Scores, result: metrics.Result) -> None:
        """Adds a metric's result, with the names that `metrics.score_name` gives."""
        prefix = self.extractor.prefix
        for own, values in (
            (scores.values, result.values),
            (scores.intervals, result.intervals),
            (scores.per_class, result.per_class),
        ):
            own.update({metrics.score_name(prefix, name): v for name, v in values.items()})
        scores.notes += [note for note in result.notes if note not in scores.notes]


def write_statistics(path: str, statistics: FeatureStatistics, description: Mapping) -> None:
    """Writes a file of statistics. An interrupted write leaves no incomplete file.

    Args:
      path: path of the file, which ends in .npz.
      statistics: the statistics.
      description: description of the `ImageSet`, with the identity of the extractor as "extractor"
        and the hash of the images as "sha256".
    """
    checks.require(path.endswith(".npz"), "a file of statistics must end in .npz", path=path)
    text = json.dumps({**description, "count": statistics.count})
    with replaced(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, mu=statistics.mean, sigma=statistics.covariance, **{DESCRIPTION: text})


def read_statistics(path: str) -> tuple[FeatureStatistics, dict]:
    """Reads a file of statistics.

    Returns:
      A tuple: the statistics, and the description, which is {} for files of other programs.

    Raises:
      ValueError: the file cannot be read, or its shapes do not match.
    """
    arrays = read_npz(path)
    checks.require(
        {"mu", "sigma"} <= set(arrays),
        "a file of statistics must hold the arrays mu and sigma",
        path=path,
        arrays=sorted(arrays),
    )
    mean, covariance = arrays["mu"], arrays["sigma"]
    checks.require(
        mean.ndim == 1
        and covariance.shape == (len(mean), len(mean))
        and mean.dtype.kind == covariance.dtype.kind == "f",
        "in a file of statistics, mu must be floats [D] and sigma floats [D, D]",
        path=path,
        mu=f"{mean.dtype} {mean.shape}",
        sigma=f"{covariance.dtype} {covariance.shape}",
    )
    checks.require(
        bool(np.isfinite(mean).all() and np.isfinite(covariance).all()),
        "mu and sigma of the file of statistics must be finite numbers; compute the file again",
        path=path,
    )
    described = DESCRIPTION in arrays
    description = parse_json(str(arrays[DESCRIPTION]), path) if described else {}
    # If the file does not record the number of images, it is assumed to be one more than the number
    # of features.
    count = field(description, "count", "int", path, len(mean) + 1)
    return FeatureStatistics(mean, covariance, count), description


def require_comparable(
    path: str,
    statistics: FeatureStatistics,
    stored: Mapping,
    images: Mapping,
    extractor: Mapping,
    feature_dim: int,
) -> None:
    """Raises ValueError for statistics of another extractor or of differently preprocessed images.

    Args:
      path: path of the file, for the message.
      statistics: statistics in the file.
      stored: description in the file. If it is empty, only the number of features and the precision
        of the extractor are checked.
      images: description of the images to evaluate.
      extractor: identity of the extractor that is used now.
      feature_dim: number of features of this extractor.

    Raises:
      ValueError: the statistics do not fit; the message says what differs.
    """
    checks.require(
        len(statistics.mean) == feature_dim,
        "the file of statistics belongs to an extractor with another number of features; use"
        " the extractor of the file, or another file",
        path=path,
        of_file=len(statistics.mean),
        of_extractor=feature_dim,
    )
    if not stored:
        checks.require(
            "precision" not in extractor,
            "the file of statistics does not record its extractor and is assumed to be computed"
            " in float32; use --extractor=inception",
            path=path,
            extractor=extractor.get("precision"),
        )
        return
    checks.require(
        stored.get("extractor") == dict(extractor),
        "the file of statistics was computed with another extractor; use the extractor of the"
        " file, or another file",
        path=path,
        of_file=stored.get("extractor"),
        now=dict(extractor),
    )
    differing = {
        name: (stored.get(name), images[name])
        for name in COMPARED
        if name in images and stored.get(name) is not None and stored[name] != images[name]
    }
    checks.require(
        not differing,
        "the images of the file of statistics were preprocessed differently from the images to"
        " evaluate (the first value of each pair is the file's); use the same preprocessing or"
        " another file",
        path=path,
        **differing,
    )
