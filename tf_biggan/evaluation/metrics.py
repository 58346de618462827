"""Every score as a row: what it needs, how it is computed from features, what it is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_biggan.evaluation.classifier import accuracy
from tf_biggan.evaluation.extractors import Extractor
from tf_biggan.evaluation.features import Features
from tf_biggan.evaluation.frechet import FeatureStatistics, feature_statistics, frechet_distance
from tf_biggan.evaluation.inception_score import inception_score
from tf_biggan.evaluation.kernel_distance import kernel_distance
from tf_biggan.evaluation.neighbours import density_coverage, precision_recall
from tf_biggan.evaluation.protocol import CONTENT, NATURAL, Protocol

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


@dataclasses.dataclass(frozen=True)
class Context:
    """All that a metric may look at; see the attributes' own classes."""

    generated: Features
    reference: Reference
    extractor: Extractor
    protocol: Protocol
    class_names: tuple[str, ...]
    bootstrap: int = 0

    @property
    def classes_agree(self) -> bool:
        """Whether labels of both sets mean the same classes, as far as their names tell."""
        theirs = self.reference.class_names
        return not (self.class_names and theirs) or tuple(self.class_names) == tuple(theirs)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a metric gives: numbers, intervals, numbers by class, sentences."""

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    per_class: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Metric:
    """One row: the names of its `NEEDS`, and from a `Context` to a `Result`."""

    needs: tuple[str, ...]
    compute: Callable[[Context], Result]


def ordered(features: Features, order: str | int) -> Features:
    """Rows in the order of a protocol."""
    if order == NATURAL:
        return features
    if order == CONTENT:
        return features.by_content()
    rows = np.random.RandomState(order).permutation(len(features.features))
    return features.take(rows)


def score_name(prefix: str, name: str) -> str:
    """What a score is called: never FID or IS where the network is not the reference Inception."""
    if not prefix or name in UNPREFIXED:
        return name
    return prefix + HONEST_NAMES.get(name, name)


def missing(context: Context, name: str) -> str | None:
    """What a metric lacks, as the end of a sentence; None where it can be computed."""
    return next((NEEDS[need][1] for need in METRICS[name].needs if not NEEDS[need][0](context)), None)


def beside_small_samples(
    context: Context, names: Sequence[str], notes: list[str]
) -> tuple[str, ...]:
    """Metrics to add where too few images make a Fréchet distance doubtful; tells `notes` why."""
    size = context.generated.features.shape[1]
    counts = {
        "generated": len(context.generated.features),
        "reference": context.reference.statistics.count,
    }
    few = {which: count for which, count in counts.items() if count is not None and count <= size}
    if "fid" not in names or not few:
        return ()
    listed = " and ".join(f"{count:,} {which} images" for which, count in few.items())
    notes.append(
        f"{listed} do not fill {size:,} dimensions: the covariance is singular and the Fréchet"
        " distance far too large; see the kernel distance beside it."
    )
    added = "kid" not in names and missing(context, "kid") is None
    return ("kid",) if added else ()


def _fid(context):
    statistics = feature_statistics(context.generated.features)
    return Result({"fid": frechet_distance(statistics, context.reference.statistics)})


def _is(context):
    splits = min(context.protocol.splits, len(context.generated.logits))
    mean, std = inception_score(context.generated.logits, splits, None)
    return Result({"is": mean, "is_std": std})


def _kid(context):
    protocol = context.protocol
    generated, real = context.generated.features, context.reference.features.features
    size = min(protocol.kid_subset_size, len(generated), len(real))
    mean, std = kernel_distance(generated, real, protocol.kid_subsets, size, protocol.kid_seed)
    return Result({"kid": mean, "kid_std": std})


def _accuracy(context):
    generated = context.generated
    whole, by_class = accuracy(generated.logits, generated.labels)
    names = context.reference.class_names
    values = {"accuracy": whole, **context.extractor.facts}
    return Result(values, per_class={"accuracy": _named(by_class, names)})


def _named(by_class, names):
    return {names[label] if names else str(label): value for label, value in by_class.items()}


NEEDS = {
    "reference features": (
        lambda context: context.reference.features is not None,
        "needs the reference's images, not only their statistics",
    ),
    "logits": (
        lambda context: context.generated.logits is not None,
        "needs an extractor with logits",
    ),
    "classifier": (
        lambda context: context.extractor.identity["kind"] == "classifier",
        "needs the classifier as extractor",
    ),
    "labels": (
        lambda context: context.generated.labels is not None,
        "needs images whose classes are known",
    ),
    "agreeing classes": (
        lambda context: (
            context.classes_agree
            and context.generated.labels.max() < max(1, context.extractor.num_classes)
        ),
        "needs images of the reference's classes",
    ),
}
METRICS = {
    "fid": Metric((), _fid),
    "is": Metric(("logits",), _is),
    "kid": Metric(("reference features",), _kid),
    "accuracy": Metric(("logits", "classifier", "labels", "agreeing classes"), _accuracy),
}
