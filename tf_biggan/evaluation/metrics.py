"""The table of metrics: how each score is computed from features, and what it is called."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_biggan.evaluation.comparison import how_classes_were_matched, matched_labels
from tf_biggan.evaluation.features.classifier import accuracy
from tf_biggan.evaluation.features.extraction import Features
from tf_biggan.evaluation.features.extractors import Extractor
from tf_biggan.evaluation.protocol import CONTENT, Protocol
from tf_biggan.evaluation.requirements import smallest_subset
from tf_biggan.evaluation.scores.feature_scores import (
    density_coverage,
    inception_score,
    kernel_distance,
    largest_subset_size,
    precision_recall,
)
from tf_biggan.evaluation.scores.frechet import (
    FeatureStatistics,
    feature_statistics,
    frechet_distance,
    frechet_infinity,
    intra_class_distance,
)
from tf_biggan.evaluation.scores.intervals import (
    frechet_interval,
    inception_interval,
    kernel_interval,
)

# Scores without the extractor's prefix, because they concern the requested classes.
UNPREFIXED = ("accuracy", "held_out_accuracy")
# Names of the Inception Score if the extractor is not the reference Inception.
HONEST_NAMES = {"is": "score", "is_std": "score_std"}


@dataclasses.dataclass(frozen=True)
class ReferenceFeatures:
    """Features of the real images, or only their statistics.

    Attributes:
      statistics: mean and covariance of the features.
      features: features in the order of the protocol; None if only statistics are known.
      class_names: one name per class; empty if they are unknown.
      description: JSON values that describe the images.
    """

    statistics: FeatureStatistics
    features: Features | None
    class_names: tuple[str, ...]
    description: Mapping[str, object]

    @property
    def count(self) -> int | None:
        """Number of images; None if it is unknown."""
        return self.description.get("count")


@dataclasses.dataclass(frozen=True)
class Context:
    """Everything that a metric may be computed from.

    Attributes:
      generated: features of the generated images.
      reference: features or statistics of the real images.
      extractor: the feature extractor of both sets of images.
      protocol: choices that the definitions of scores leave open.
      class_names: class names of the generated images; empty if they are unknown.
      bootstrap: number of bootstrap resamples for confidence intervals; 0 for no intervals.
    """

    generated: Features
    reference: ReferenceFeatures
    extractor: Extractor
    protocol: Protocol
    class_names: tuple[str, ...]
    bootstrap: int = 0

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Labels of the generated images as indices of the reference's classes, or None."""
        return matched_labels(self.generated.labels, self.class_names, self.reference.class_names)

    def how_classes_were_matched(self) -> tuple[str, ...]:
        """Returns a note on how classes were matched; () if the classes are the same."""
        return how_classes_were_matched(self.class_names, self.reference.class_names)


@dataclasses.dataclass(frozen=True)
class Result:
    """Result of a metric: scores, confidence intervals, scores by class, and notes."""

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    per_class: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()


def ordered(features: Features, protocol: Protocol) -> Features:
    """Returns features in the order that a protocol prescribes."""
    return features.by_content() if protocol.order == CONTENT else features


def score_name(prefix: str, name: str) -> str:
    """Returns the name under which a score is reported, such as "classifier_fid".

    Only scores by Inception in float32, with the published weights, may be called FID or IS. All
    other scores, except accuracies, have a prefix.

    Args:
      prefix: prefix of the feature extractor.
      name: the name in the metric's result.
    """
    if not prefix or name in UNPREFIXED:
        return name
    return prefix + HONEST_NAMES.get(name, name)


def beside_small_samples(
    context: Context, names: Sequence[str], notes: list[str]
) -> tuple[str, ...]:
    """Returns metrics to compute in addition if the Fréchet distance has too few images.

    Args:
      context: what the metrics are computed from.
      names: metrics that are computed already.
      notes: a list of notes. The reason is added to this list.
    """
    size = context.generated.features.shape[1]
    counts = {
        "generated": len(context.generated.features),
        "reference": context.reference.count,
    }
    few = {which: count for which, count in counts.items() if count is not None and count <= size}
    if "fid" not in names or not few:
        return ()
    listed = " and ".join(f"{count:,} {which} images" for which, count in few.items())
    notes.append(
        f"{listed} are too few for {size:,} features: the covariance of the features is singular,"
        " which makes the Fréchet distance far too large. Use the kernel distance instead."
    )
    real = context.reference.features
    fewest = 0 if real is None else min(len(real.features), counts["generated"])
    added = "kid" not in names and fewest >= smallest_subset(context.protocol)
    return ("kid",) if added else ()


def _fid(context):
    features, reference = context.generated.features, context.reference.statistics
    value = frechet_distance(feature_statistics(features), reference)
    if not context.bootstrap:
        return Result({"fid": value})
    interval = frechet_interval(features, reference, resamples=context.bootstrap)
    return Result({"fid": value}, {"fid": interval})


def _fid_infinity(context):
    found = frechet_infinity(context.generated.features, context.reference.statistics)
    return Result({"fid_infinity": found.value})


def _is(context):
    logits, protocol = context.generated.logits, context.protocol
    cut = {"splits": protocol.splits, "shuffle_seed": protocol.shuffle_seed}
    mean, std = inception_score(logits, **cut)
    values = {"is": mean, "is_std": std}
    if not context.bootstrap:
        return Result(values)
    return Result(values, {"is": inception_interval(logits, resamples=context.bootstrap, **cut)})


def _kid(context):
    protocol, generated = context.protocol, context.generated.features
    real = context.reference.features.features
    size = largest_subset_size(len(generated), len(real), protocol.kid_subset_size)
    drawn = {"subsets": protocol.kid_subsets, "subset_size": size}
    mean, std = kernel_distance(generated, real, seed=protocol.kid_seed, **drawn)
    values = {"kid": mean, "kid_std": std}
    notes = _smaller_subsets(size, protocol.kid_subset_size)
    if not context.bootstrap:
        return Result(values, notes=notes)
    settings = {"subset_seed": protocol.kid_seed, "resamples": context.bootstrap, **drawn}
    return Result(values, {"kid": kernel_interval(generated, real, **settings)}, notes=notes)


def _smaller_subsets(size, usual):
    if size == usual:
        return ()
    return (f"The kernel distance uses subsets of {size:,} images instead of {usual:,}.",)


def _precision_recall(context):
    sides = (context.generated.features, context.reference.features.features)
    precision, recall = precision_recall(*sides, k=context.protocol.neighbours)
    return Result({"precision": precision, "recall": recall})


def _density_coverage(context):
    sides = (context.generated.features, context.reference.features.features)
    density, coverage = density_coverage(*sides)
    return Result({"density": density, "coverage": coverage})


def _intra_fid(context):
    generated, real = context.generated, context.reference.features
    found = intra_class_distance(generated.features, context.labels, real.features, real.labels)
    names = context.reference.class_names
    notes = context.how_classes_were_matched()
    if found.too_few:
        listed = ", ".join(names[label] if names else str(label) for label in found.too_few[:5])
        listed += ", ..." if len(found.too_few) > 5 else ""
        notes += (
            f"intra_fid leaves out {len(found.too_few)} classes with fewer than 2 images:"
            f" {listed}.",
        )
    values = {} if found.mean is None else {"intra_fid": found.mean}
    return Result(values, per_class={"intra_fid": _named(found.of_class, names)}, notes=notes)


def _accuracy(context):
    generated = context.generated
    whole, by_class = accuracy(generated.logits, context.labels)
    names = context.reference.class_names
    values = {"accuracy": whole, **context.extractor.facts}
    per_class = {"accuracy": _named(by_class, names)}
    return Result(values, per_class=per_class, notes=context.how_classes_were_matched())


def _named(by_class, names):
    return {names[label] if names else str(label): value for label, value in by_class.items()}


METRICS: Mapping[str, Callable[[Context], Result]] = {
    "fid": _fid,
    "is": _is,
    "kid": _kid,
    "precision_recall": _precision_recall,
    "density_coverage": _density_coverage,
    "fid_infinity": _fid_infinity,
    "intra_fid": _intra_fid,
    "accuracy": _accuracy,
}
