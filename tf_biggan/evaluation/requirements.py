"""Chooses the extractor of each metric, and checks in advance what each metric needs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_biggan import checks
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.evaluation.comparison import matched_labels, why_classes_differ
from tf_biggan.evaluation.features.extractors import CLASSIFIER, Extractor
from tf_biggan.evaluation.features.image_sets import ImageSet
from tf_biggan.evaluation.inception.extractor import FLOAT32, INCEPTION_DTYPES
from tf_biggan.evaluation.inception.inception_network import NUM_FEATURES
from tf_biggan.evaluation.protocol import ALL_METRICS, DEFAULT, Protocol
from tf_biggan.evaluation.scores.feature_scores import DENSITY_NEIGHBOURS

GENERATED, REFERENCE = "generated", "reference"
# FID is extrapolated from parts of the images. The smallest part has a tenth of the images, and it
# must have more images than features.
PARTS_OF_EXTRAPOLATION = 10
INCEPTION = "inception"
CLASSIFIER_PREFIX, EXTRACTOR_PREFIX = "classifier_", "extractor_"
ACCURACY = "accuracy"
USUAL = {CLASSIFIER: ("fid", ACCURACY), **dict.fromkeys(INCEPTION_DTYPES, ("fid", "is", "kid"))}
USUAL_OF_OTHERS = ("fid", "kid")
USUAL_OF_CURVES = ("fid", "is")


@dataclasses.dataclass(frozen=True)
class Selection:
    """The chosen metrics by the feature extractor that computes them.

    Attributes:
      primary: Extractor of all metrics but the accuracy and those with the prefix "classifier_". It
        is a name in `INCEPTION_DTYPES`, "classifier", or the path of the user's own network.
      by_extractor: Names of metrics by extractor.
    """

    primary: str
    by_extractor: Mapping[str, tuple[str, ...]]

    @property
    def has_inception(self) -> bool:
        """Whether Inception computes any of the metrics."""
        return not INCEPTION_DTYPES.keys().isdisjoint(self.by_extractor)

    def asked_as(self, kind: str, metric: str) -> str:
        """Returns the name that `--metrics` has for a metric of the extractor `kind`."""
        plain = kind == self.primary or metric == ACCURACY
        return metric if plain else CLASSIFIER_PREFIX + metric


def select(config: EvaluateConfig, protocol: Protocol) -> Selection:
    """Chooses feature extractors and metrics.

    The classifier computes the accuracy and every metric with the prefix "classifier_". The primary
    extractor computes all other metrics. It is `config.extractor`, if that is given. Otherwise it
    is Inception in three cases: the settings name Inception's weights, they name a protocol other
    than the default, or they ask for one of these other metrics. In all other cases it is the
    classifier.

    Args:
      config: settings of the evaluation.
      protocol: the protocol that the settings name.

    Raises:
      ValueError: a metric is unknown, or the protocol does not allow the metric or the extractor.
    """
    asked = config.metric_names()
    primary = config.extractor or _default_primary(config, protocol, asked)
    checks.require(
        protocol == DEFAULT or INCEPTION_DTYPES.get(primary, FLOAT32) == FLOAT32,
        "protocols of other programs compute in float32; use --extractor=inception",
        extractor=primary,
        protocol=protocol.name,
    )
    if asked is None:
        usual = USUAL.get(primary, USUAL_OF_OTHERS)
        if protocol.name != "tf_biggan":
            usual = tuple(name for name in protocol.metrics if name != ACCURACY)
        if len(config.truncations()) > 1:
            usual = USUAL_OF_CURVES
        return Selection(primary, {primary: usual})
    found: dict[str, tuple[str, ...]] = {}
    for name in asked:
        kind, metric = _placed(name, primary)
        checks.require(
            metric in ALL_METRICS,
            f"`metrics` must be some of {', '.join(ALL_METRICS)}; a metric with the prefix"
            " classifier_ is computed by the classifier",
            metric=name,
        )
        checks.require(
            metric in protocol.metrics or kind == CLASSIFIER,
            f"the protocol {protocol.name} is reproduced only for the metrics"
            f" {', '.join(protocol.metrics)}; leave out the other metrics",
            metric=name,
        )
        found[kind] = (*found.get(kind, ()), metric)
    return Selection(primary, found)


def _default_primary(config, protocol, asked):
    if config.inception_weights or protocol.name != "tf_biggan":
        return INCEPTION
    others = [name for name in asked or () if _placed(name, None)[0] is None]
    return INCEPTION if others else CLASSIFIER


def _placed(name, primary):
    """Splits a name in `--metrics` into extractor and metric."""
    if name == ACCURACY:
        return CLASSIFIER, ACCURACY
    if name.startswith(CLASSIFIER_PREFIX):
        metric = name.removeprefix(CLASSIFIER_PREFIX)
        return CLASSIFIER, "is" if metric == "score" else metric
    if name.startswith(EXTRACTOR_PREFIX) and primary not in (None, CLASSIFIER, *INCEPTION_DTYPES):
        return primary, name.removeprefix(EXTRACTOR_PREFIX)
    return primary, name


@dataclasses.dataclass(frozen=True)
class ImagesSummary:
    """What is known about a set of images before features are extracted.

    Attributes:
      count: number of images; None if a file of statistics does not record it.
      labels: integers [N]; None if they are unknown.
      class_names: one name per class; empty if they are unknown.
      has_images: False for a file of statistics.
      flag: the flag that decides how many images there are.
    """

    count: int | None
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    has_images: bool
    flag: str


@dataclasses.dataclass(frozen=True)
class ExtractorSummary:
    """What is known about a feature extractor before it is opened.

    Attributes:
      kind: kind of extractor, such as "classifier" or "inception".
      has_logits: whether the extractor gives class logits.
      num_features: number of features; None if it is not known yet.
      trainable: False for a classifier that cannot be trained on the reference.
    """

    kind: str
    has_logits: bool
    num_features: int | None
    trainable: bool = True


@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """The images, reference, extractor and protocol of an evaluation that has not begun."""

    generated: ImagesSummary
    reference: ImagesSummary
    extractor: ExtractorSummary
    protocol: Protocol

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Labels of the generated images as indices of the reference's classes, or None."""
        ours, theirs = self.generated, self.reference
        return matched_labels(ours.labels, ours.class_names, theirs.class_names)


def summarize_images(images: ImageSet, flag: str) -> ImagesSummary:
    """Returns the facts about a set of images that the checks need, such as their number.

    Args:
      images: the images.
      flag: the flag that decides how many images there are.
    """
    return ImagesSummary(images.count, images.labels, images.class_names, True, flag)


def summarize_extractor(extractor: Extractor) -> ExtractorSummary:
    """Returns the facts about a feature extractor that the checks need, such as its kind."""
    kind = str(extractor.identity["kind"])
    return ExtractorSummary(kind, extractor.num_classes > 0, extractor.num_features)


def expected_extractor(name: str, training_images: ImageSet | None) -> ExtractorSummary:
    """Returns what an extractor's name shows about it, so that the extractor need not be opened.

    Args:
      name: a name that `Comparison.extractor` accepts.
      training_images: the images that a classifier would be trained on, or None.
    """
    if name == CLASSIFIER:
        labels = None if training_images is None else training_images.labels
        trainable = labels is not None and len(np.unique(labels)) > 1
        return ExtractorSummary(CLASSIFIER, True, None, trainable)
    if name in INCEPTION_DTYPES:
        return ExtractorSummary("inception", True, NUM_FEATURES)
    return ExtractorSummary("own", False, None)


def computable(
    plan: EvaluationPlan, names: Sequence[str]
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Returns the metrics that can be computed, and why each other metric cannot be computed."""
    reasons = {name: unmet_need(plan, name) for name in names}
    kept = tuple(name for name in names if reasons[name] is None)
    return kept, {name: reason for name, reason in reasons.items() if reason is not None}


def smallest_subset(protocol: Protocol) -> int:
    """Returns the smallest number of generated and of real images for the kernel distance."""
    # Other programs refuse fewer images than a subset has. Our own protocol makes the subsets
    # smaller instead, and adds a note.
    return 2 if protocol.name == DEFAULT.name else protocol.kid_subset_size


def unmet_need(plan: EvaluationPlan, name: str) -> str | None:
    """Returns why a metric cannot be computed, such as "needs images whose classes are known".

    Args:
      plan: the planned evaluation.
      name: name of the metric.

    Returns:
      The end of a sentence that begins with the metric's name. None if the metric can be computed.
    """
    return next(
        (reason for need in NEEDS[name] if (reason := need(plan)) is not None),
        None,
    )


Need = Callable[[EvaluationPlan], str | None]


def _unless(holds: Callable[[EvaluationPlan], bool], reason: str) -> Need:
    """Returns a check of a plan, which returns `reason` if the condition `holds` is false."""
    return lambda plan: None if holds(plan) else reason


def _at_least(
    side: str,
    minimum: Callable[[EvaluationPlan], int | None],
    why: Callable[[EvaluationPlan], str] = lambda plan: "",
) -> Need:
    """Returns a check that a plan has enough generated (or reference) images for a metric.

    Args:
      side: "generated" or "reference".
      minimum: function that returns the smallest number of images, or None if it is not known yet.
      why: function that returns the end of the message, which explains the number.
    """

    def need(plan):
        images, fewest = getattr(plan, side), minimum(plan)
        if images.count is None or fewest is None or images.count >= fewest:
            return None
        return (
            f"needs at least {fewest:,} {side} images{why(plan)}, and there"
            f" {'is' if images.count == 1 else 'are'} {images.count:,} ({images.flag})"
        )

    return need


def _of_both(
    minimum: Callable[[EvaluationPlan], int],
    why: Callable[[EvaluationPlan], str] = lambda plan: "",
) -> tuple[Need, Need]:
    return _at_least(GENERATED, minimum, why), _at_least(REFERENCE, minimum, why)


def _images_for_extrapolation(plan):
    size = plan.extractor.num_features
    return None if size is None else PARTS_OF_EXTRAPOLATION * (size + 1)


def _needs_agreeing_classes(plan):
    if plan.labels is not None:
        return None
    return why_classes_differ(plan.generated.class_names, plan.reference.class_names)


def _two_of_a_class(plan):
    counts = [np.bincount(labels) for labels in (plan.labels, plan.reference.labels)]
    shared = min(map(len, counts))
    most = int(np.minimum(*(count[:shared] for count in counts)).max(initial=0))
    if most >= 2:
        return None
    classes = max(map(len, counts))
    return (
        f"needs at least 2 generated and 2 reference images of one class, and no class has more"
        f" than {most}: {plan.generated.count:,} generated images"
        f" ({plan.generated.flag}) and {plan.reference.count:,} reference images"
        f" ({plan.reference.flag}) of {classes:,} classes"
    )


_TRAINS_CLASSIFIER = _unless(
    lambda p: p.extractor.trainable,
    "needs the classifier, which is trained on a reference with images of at least two"
    " classes; without such a reference, give --inception_weights=PATH or --extractor=PATH",
)
_REFERENCE_IMAGES = _unless(
    lambda p: p.reference.has_images, "needs the reference's images, not only their statistics"
)
_LOGITS = _unless(lambda p: p.extractor.has_logits, "needs an extractor with logits")
_CLASSES = (
    _unless(
        lambda p: p.generated.labels is not None,
        "needs generated images with known classes (the classes of --images are known if the images"
        " are in sub-folders, or if the .npz file holds labels)",
    ),
    _needs_agreeing_classes,
)
NEEDS: Mapping[str, tuple[Need, ...]] = {
    "fid": (_TRAINS_CLASSIFIER, *_of_both(lambda p: 2)),
    "is": (
        _TRAINS_CLASSIFIER,
        _LOGITS,
        _at_least(GENERATED, lambda p: p.protocol.splits, lambda p: ", one for each split"),
    ),
    "kid": (
        _REFERENCE_IMAGES,
        _TRAINS_CLASSIFIER,
        *_of_both(lambda p: smallest_subset(p.protocol)),
    ),
    "precision_recall": (
        _REFERENCE_IMAGES,
        _TRAINS_CLASSIFIER,
        *_of_both(
            lambda p: p.protocol.neighbours + 1,
            lambda p: f", because each image needs {p.protocol.neighbours} neighbours",
        ),
    ),
    "density_coverage": (
        _REFERENCE_IMAGES,
        _TRAINS_CLASSIFIER,
        *_of_both(
            lambda p: DENSITY_NEIGHBOURS + 1,
            lambda p: f", because each image needs {DENSITY_NEIGHBOURS} neighbours",
        ),
    ),
    "fid_infinity": (
        _TRAINS_CLASSIFIER,
        _at_least(
            GENERATED,
            _images_for_extrapolation,
            lambda p: f", which is 10 x ({p.extractor.num_features:,} features + 1)",
        ),
        _at_least(REFERENCE, lambda p: 2),
    ),
    "intra_fid": (
        _REFERENCE_IMAGES,
        _TRAINS_CLASSIFIER,
        _unless(lambda p: p.reference.labels is not None, "needs a reference with known classes"),
        *_CLASSES,
        _two_of_a_class,
    ),
    "accuracy": (
        _unless(lambda p: p.extractor.kind == CLASSIFIER, "needs --extractor=classifier"),
        _TRAINS_CLASSIFIER,
        *_CLASSES,
    ),
}
