"""Chooses the feature extractors and the metrics that each of them computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tf_biggan import checks
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.evaluation.features.extractors import CLASSIFIER
from tf_biggan.evaluation.inception.extractor import FLOAT32, INCEPTION_DTYPES
from tf_biggan.evaluation.protocol import ALL_METRICS, DEFAULT, Protocol

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
      primary: extractor of the metrics without a prefix: a name in `INCEPTION_DTYPES`,
        "classifier", or the path of the user's own network.
      by_extractor: names of metrics by extractor.
    """

    primary: str
    by_extractor: Mapping[str, tuple[str, ...]]

    @property
    def has_inception(self) -> bool:
        """Whether Inception computes any of the metrics."""
        return not INCEPTION_DTYPES.keys().isdisjoint(self.by_extractor)

    def asked_as(self, kind: str, metric: str) -> str:
        """Returns the name of an extractor's metric in `--metrics`."""
        plain = kind == self.primary or metric == ACCURACY
        return metric if plain else CLASSIFIER_PREFIX + metric


def select(config: EvaluateConfig, protocol: Protocol) -> Selection:
    """Chooses feature extractors and metrics.

    The classifier computes the accuracy and every metric that begins with "classifier_". The
    primary extractor computes all others. It is `extractor` if that is given; otherwise Inception
    if its weights are given, or if a metric without a prefix is asked for; otherwise the
    classifier.

    Args:
      config: settings of the evaluation.
      protocol: the protocol that the settings name.

    Raises:
      ValueError: a metric is unknown, or the protocol does not have the metric or the extractor.
    """
    asked = config.metric_names()
    primary = config.extractor or _default_primary(config, protocol, asked)
    checks.require(
        protocol == DEFAULT or INCEPTION_DTYPES.get(primary, FLOAT32) == FLOAT32,
        "protocols of other programs use float32; use --extractor=inception",
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
            f"`metrics` must be among {', '.join(ALL_METRICS)}; put classifier_ before a name to"
            " compute it with the classifier",
            metric=name,
        )
        checks.require(
            metric in protocol.metrics or kind == CLASSIFIER,
            f"protocol {protocol.name} is reproduced for {', '.join(protocol.metrics)} only",
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
