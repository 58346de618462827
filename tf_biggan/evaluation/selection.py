"""Which network computes which metric, from what was asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tf_biggan import checks
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.evaluation.inception.extractor import FLOAT32, INCEPTION_DTYPES
from tf_biggan.evaluation.protocol import ALL_METRICS, DEFAULT, Protocol

CLASSIFIER, INCEPTION = "classifier", "inception"
CLASSIFIER_PREFIX, EXTRACTOR_PREFIX = "classifier_", "extractor_"
ACCURACY = "accuracy"
USUAL = {CLASSIFIER: ("fid", ACCURACY), **dict.fromkeys(INCEPTION_DTYPES, ("fid", "is", "kid"))}
USUAL_OF_OTHERS = ("fid", "kid")
USUAL_OF_CURVES = ("fid", "is")


@dataclasses.dataclass(frozen=True)
class Selection:
    """Metrics by the network that computes them.

    Attributes:
      primary: of `INCEPTION_DTYPES`, "classifier" or the path of a network.
      by_extractor: names of metrics, by the same.
    """

    primary: str
    by_extractor: Mapping[str, tuple[str, ...]]

    @property
    def has_inception(self) -> bool:
        """Whether Inception takes part."""
        return not INCEPTION_DTYPES.keys().isdisjoint(self.by_extractor)

    def asked_as(self, kind: str, metric: str) -> str:
        """What `--metrics` calls a metric of a network."""
        plain = kind == self.primary or metric == ACCURACY
        return metric if plain else CLASSIFIER_PREFIX + metric


def select(config: EvaluateConfig, protocol: Protocol) -> Selection:
    """The networks and their metrics.

    The classifier computes the accuracy and what begins with "classifier_"; everything else is the
    primary network's: `extractor` if that is given, else Inception if there are weights for it or
    metrics are asked for that only it gives, else the classifier.

    Raises:
      ValueError: a metric is unknown, or the protocol does not have it or the network.
    """
    asked = config.metric_names()
    primary = config.extractor or _default_primary(config, protocol, asked)
    checks.require(
        protocol == DEFAULT or INCEPTION_DTYPES.get(primary, FLOAT32) == FLOAT32,
        "the protocols of others are those of float32; use --extractor=inception",
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
            f"`metrics` must be of {', '.join(ALL_METRICS)}, with classifier_ before them for the"
            " classifier's",
            metric=name,
        )
        checks.require(
            metric in protocol.metrics or kind == CLASSIFIER,
            f"protocol {protocol.name} has {', '.join(protocol.metrics)}; other metrics are not"
            " computed here as they are there",
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
    """(network, metric) of a name."""
    if name == ACCURACY:
        return CLASSIFIER, ACCURACY
    if name.startswith(CLASSIFIER_PREFIX):
        metric = name.removeprefix(CLASSIFIER_PREFIX)
        return CLASSIFIER, "is" if metric == "score" else metric
    if name.startswith(EXTRACTOR_PREFIX) and primary not in (None, CLASSIFIER, *INCEPTION_DTYPES):
        return primary, name.removeprefix(EXTRACTOR_PREFIX)
    return primary, name
