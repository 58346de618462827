"""Every score as a row: how it is computed from features, and what it is called."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_biggan.evaluation.features.classifier import accuracy
from tf_biggan.evaluation.features.extraction import Features
from tf_biggan.evaluation.features.extractors import Extractor
from tf_biggan.evaluation.matched_labels import how_classes_were_matched, matched_labels
from tf_biggan.evaluation.protocol import CONTENT, Protocol
from tf_biggan.evaluation.requirements import smallest_subset
from tf_biggan.evaluation.scores.frechet import (
    FeatureStatistics,
    feature_statistics,
    frechet_distance,
)
from tf_biggan.evaluation.scores.frechet_variants import frechet_infinity, intra_class_distance
from tf_biggan.evaluation.scores.inception_score import inception_score
from tf_biggan.evaluation.scores.intervals import (
    frechet_interval,
    inception_interval,
    kernel_interval,
)
from tf_biggan.evaluation.scores.kernel_distance import kernel_distance, largest_subset_size
from tf_biggan.evaluation.scores.precision_recall import density_coverage, precision_recall

# Scores that carry no network's name: they are about the classes asked for.
UNPREFIXED = ("accuracy", "held_out_accuracy")
# What the inception score is called where the network is not Inception.
HONEST_NAMES = {"is": "score", "is_std": "score_std"}


@dataclasses.dataclass(frozen=True)
class Reference:
    """What images are compared with.

    Attributes:
      statistics: of its features.
      features: by content; None where only statistics are there.
      class_names: one name a class; empty where none are known.
      description: JSON values.
    """

    statistics: FeatureStatistics
    features: Features | None
    class_names: tuple[str, ...]
    description: Mapping[str, object]

    @property
    def count(self) -> int | None:
        """How many images it is made of; None where that is not known."""
        return self.description.get("count")


@dataclasses.dataclass(frozen=True)
class Context:
    """All that a metric may look at; see the attributes' own classes."""

    generated: Features
    reference: Reference
    extractor: Extractor
    protocol: Protocol
    class_names: tuple[str, ...]
    bootstrap: int = 0

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Labels of the generated images as the reference counts its classes."""
        return matched_labels(self.generated.labels, self.class_names, self.reference.class_names)

    def how_classes_were_matched(self) -> tuple[str, ...]:
        """A note where classes were not simply the same; () where they were."""
        return how_classes_were_matched(self.class_names, self.reference.class_names)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a metric gives: numbers, intervals, numbers by class, sentences."""

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    per_class: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()


def ordered(features: Features, protocol: Protocol) -> Features:
    """Rows in the order of a protocol."""
    return features.by_content() if protocol.order == CONTENT else features


def score_name(prefix: str, name: str) -> str:
    """What a score is called: never FID or IS where the network is not the reference Inception."""
    if not prefix or name in UNPREFIXED:
        return name
    return prefix + HONEST_NAMES.get(name, name)


def beside_small_samples(
    context: Context, names: Sequence[str], notes: list[str]
) -> tuple[str, ...]:
    """Metrics to add where too few images make a Fréchet distance doubtful; tells `notes` why."""
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
        f"{listed} do not fill {size:,} dimensions: the covariance is singular and the Fréchet"
        " distance far too large; see the kernel distance beside it."
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
    return (f"The kernel distance has subsets of {size:,} images instead of {usual:,}.",)


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
        notes += (f"intra_fid leaves out {len(found.too_few)} classes of 1 or no image: {listed}.",)
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
