"""What every metric needs, checked before images are generated and networks are trained."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tf_biggan.evaluation.features.extractors import Extractor
from tf_biggan.evaluation.features.image_sets import ImageSet
from tf_biggan.evaluation.inception.architecture import NUM_FEATURES
from tf_biggan.evaluation.inception.extractor import INCEPTION_DTYPES
from tf_biggan.evaluation.matched_labels import matched_labels, why_classes_differ
from tf_biggan.evaluation.protocol import DEFAULT, Protocol
from tf_biggan.evaluation.scores.precision_recall import DENSITY_NEIGHBOURS

CLASSIFIER = "classifier"
GENERATED, REFERENCE = "generated", "reference"
# The extrapolation's smallest part of the images has to fill the dimensions of the features.
PARTS_OF_EXTRAPOLATION = 10


@dataclasses.dataclass(frozen=True)
class Side:
    """What is known of a set of images before its features are taken.

    Attributes:
      count: number of images; None if a file of statistics does not tell it.
      labels: integers [N]; None if they are not known.
      class_names: one name a class; empty if none are known.
      has_images: False for a file of statistics.
      flag: the flag that says how many images there are.
    """

    count: int | None
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    has_images: bool
    flag: str


@dataclasses.dataclass(frozen=True)
class Network:
    """What is known of an extractor before it is opened.

    Attributes:
      kind: as in an extractor's identity.
      has_logits: whether it classifies.
      num_features: size of its features; None if it is not known yet.
      trainable: False for a classifier that cannot be trained on the data there are.
    """

    kind: str
    has_logits: bool
    num_features: int | None
    trainable: bool = True


@dataclasses.dataclass(frozen=True)
class Prospect:
    """What an evaluation will be made of."""

    generated: Side
    reference: Side
    network: Network
    protocol: Protocol

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Labels of the generated images as the reference counts its classes."""
        ours, theirs = self.generated, self.reference
        return matched_labels(ours.labels, ours.class_names, theirs.class_names)


def side_of(images: ImageSet, flag: str) -> Side:
    """A set of images as a side."""
    return Side(images.count, images.labels, images.class_names, True, flag)


def network_of(extractor: Extractor) -> Network:
    """An open extractor."""
    kind = str(extractor.identity["kind"])
    return Network(kind, extractor.num_classes > 0, extractor.num_features)


def network_named(name: str, data: ImageSet | None) -> Network:
    """A network that is not open yet.

    Args:
      name: as `networks.named_network` takes it.
      data: what a classifier would be trained on; None without images.
    """
    if name == CLASSIFIER:
        labels = None if data is None else data.labels
        trainable = labels is not None and len(np.unique(labels)) > 1
        return Network(CLASSIFIER, True, None, trainable)
    if name in INCEPTION_DTYPES:
        return Network("inception", True, NUM_FEATURES)
    return Network("own", False, None)


def computable(
    prospect: Prospect, names: Sequence[str]
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """(metrics that can be computed, why the others cannot, by their names)."""
    reasons = {name: lacking(prospect, name) for name in names}
    kept = tuple(name for name in names if reasons[name] is None)
    return kept, {name: reason for name, reason in reasons.items() if reason is not None}


def smallest_subset(protocol: Protocol) -> int:
    """The fewest images of either side that a protocol's kernel distance is computed of."""
    # Other code bases refuse fewer images than a subset has; here the subset shrinks, with a note.
    return 2 if protocol.name == DEFAULT.name else protocol.kid_subset_size


def lacking(prospect: Prospect, name: str) -> str | None:
    """Why a metric cannot be computed, such as "needs images whose classes are known".

    Args:
      prospect: what the evaluation will be made of.
      name: of the metric.

    Returns:
      The end of a sentence that begins with the metric; None if it can be computed.
    """
    return next(
        (reason for need in NEEDS[name] if (reason := need(prospect)) is not None),
        None,
    )


Need = Callable[[Prospect], str | None]


def _unless(holds: Callable[[Prospect], bool], reason: str) -> Need:
    return lambda prospect: None if holds(prospect) else reason


def _at_least(
    side_name: str, minimum: Callable[[Prospect], int | None], why: Callable[[Prospect], str]
) -> Need:
    """A need for a number of images of one side; a minimum of None is not known yet."""

    def need(prospect):
        side, fewest = getattr(prospect, side_name), minimum(prospect)
        if side.count is None or fewest is None or side.count >= fewest:
            return None
        return (
            f"needs at least {fewest:,} {side_name} images{why(prospect)}, and there"
            f" {'is' if side.count == 1 else 'are'} {side.count:,} ({side.flag})"
        )

    return need


def _of_both(
    minimum: Callable[[Prospect], int], why: Callable[[Prospect], str] = lambda prospect: ""
) -> tuple[Need, Need]:
    return _at_least(GENERATED, minimum, why), _at_least(REFERENCE, minimum, why)


def _extrapolated(prospect):
    size = prospect.network.num_features
    return None if size is None else PARTS_OF_EXTRAPOLATION * (size + 1)


def _needs_agreeing_classes(prospect):
    if prospect.labels is not None:
        return None
    return why_classes_differ(prospect.generated.class_names, prospect.reference.class_names)


def _two_of_a_class(prospect):
    counts = [np.bincount(labels) for labels in (prospect.labels, prospect.reference.labels)]
    shared = min(map(len, counts))
    most = int(np.minimum(*(count[:shared] for count in counts)).max(initial=0))
    if most >= 2:
        return None
    classes = max(map(len, counts))
    return (
        f"needs at least 2 generated and 2 reference images of one class, and no class has more"
        f" than {most}: {prospect.generated.count:,} generated images"
        f" ({prospect.generated.flag}) and {prospect.reference.count:,} reference images"
        f" ({prospect.reference.flag}) of {classes:,} classes"
    )


_TRAINS_CLASSIFIER = _unless(
    lambda p: p.network.trainable,
    "needs the classifier, which is trained on a reference with images of at least two classes;"
    " without, give --inception_weights=PATH or --extractor=PATH",
)
_REFERENCE_IMAGES = _unless(
    lambda p: p.reference.has_images, "needs the reference's images, not only their statistics"
)
_LOGITS = _unless(lambda p: p.network.has_logits, "needs an extractor with logits")
_CLASSES = (
    _unless(
        lambda p: p.generated.labels is not None,
        "needs generated images whose classes are known (--images has them from sub-folders, or"
        " from labels in the .npz)",
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
            lambda p: f", because it looks at neighbour {p.protocol.neighbours} of each",
        ),
    ),
    "density_coverage": (
        _REFERENCE_IMAGES,
        _TRAINS_CLASSIFIER,
        *_of_both(
            lambda p: DENSITY_NEIGHBOURS + 1,
            lambda p: f", because it looks at neighbour {DENSITY_NEIGHBOURS} of each",
        ),
    ),
    "fid_infinity": (
        _TRAINS_CLASSIFIER,
        _at_least(
            GENERATED,
            _extrapolated,
            lambda p: f", ten times as many as the {p.network.num_features:,} features and ten",
        ),
        _at_least(REFERENCE, lambda p: 2, lambda p: ""),
    ),
    "intra_fid": (
        _REFERENCE_IMAGES,
        _TRAINS_CLASSIFIER,
        _unless(
            lambda p: p.reference.labels is not None, "needs a reference whose classes are known"
        ),
        *_CLASSES,
        _two_of_a_class,
    ),
    "accuracy": (
        _unless(lambda p: p.network.kind == CLASSIFIER, "needs the classifier as extractor"),
        _TRAINS_CLASSIFIER,
        *_CLASSES,
    ),
}
