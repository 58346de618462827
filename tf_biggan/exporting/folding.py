"""Networks for inference: every kernel divided by its sigma once, as arrays by path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.layers.spectral_norm import normalized_layers
from tf_biggan.models.variables import variables_by_path

KERNEL = "/kernel"
SINGULAR_VECTOR = "/u"
CLASS_EMBEDDING = "class_embedding/kernel"


def folded_arrays(network: keras.Model) -> dict[str, np.ndarray]:
    """All variables of a network by path, float32: kernels are W / sigma, the u are left out.

    The division is done in float64. What has no spectral norm stays as it is.
    """
    prefix = f"{network.path}/"
    sigmas = {
        layer.path.removeprefix(prefix) + KERNEL: np.float64(layer.estimate_sigma()[0])
        for layer in normalized_layers(network)
    }
    arrays = {}
    for path, variable in variables_by_path(network).items():
        if path.endswith(SINGULAR_VECTOR) and path.removesuffix(SINGULAR_VECTOR) + KERNEL in sigmas:
            continue
        array = np.asarray(variable)
        if path in sigmas:
            array = np.asarray(array, np.float64) / sigmas[path]
        arrays[path] = np.asarray(array, np.float32)
    return arrays


def classes_cut(
    arrays: Mapping[str, np.ndarray], classes: Sequence[int], per_class_norms: bool
) -> dict[str, np.ndarray]:
    """The arrays of a network that has only these classes, in this order.

    Args:
      arrays: of a network with all classes, by path.
      classes: indices; repetitions are refused.
      per_class_norms: whether batch norms keep a row per class (a generator without a class
        embedding).

    Raises:
      ValueError: a class is named twice.
    """
    checks.require(
        len(set(classes)) == len(classes), "a class may be named once only", classes=list(classes)
    )
    rows = list(classes)
    return {
        path: array[rows] if _has_classes(path, per_class_norms) else array
        for path, array in arrays.items()
    }


def _has_classes(path, per_class_norms):
    modulation = path.endswith(("/gain/kernel", "/offset/kernel"))
    return path == CLASS_EMBEDDING or (per_class_norms and modulation)
