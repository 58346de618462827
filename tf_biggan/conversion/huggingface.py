"""Tables for pytorch-pretrained-BigGAN, which holds DeepMind's BigGAN-deep generators.

The generators have tables of batch-norm statistics with 51 rows, one for each truncation. In eval
mode, the spectral norm uses fixed vectors u and v, with sigma = u W v. Sigma is folded into the
kernels, so the converted generator has `spectral_norm=False`. The last convolution has as many
output channels as its input, of which only the first three are used. Its sigma belongs to all
channels, so it is folded before the other channels are removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from tf_biggan import checks
from tf_biggan.conversion.rules import Row, Rule, SourceLayout, Tables, Tensor, expand, load
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path

# The initial weights are overwritten at once, so the initialiser that is fastest is used.
SETTINGS = MappingProxyType(
    dict(spectral_norm=False, bn_epsilon=1e-4, num_statistics=51, initializer="n02")
)

_WEIGHT = (".weight_orig", ".weight_u", ".weight_v")
_BIAS = Tensor((".bias",), "/bias", "same")

KINDS = {
    "embedding": (Tensor((".weight",), "/kernel", "transpose"),),
    "first": (Tensor(_WEIGHT, "/kernel", "folded_first"), _BIAS),
    "conv": (Tensor(_WEIGHT, "/kernel", "folded_conv"), _BIAS),
    "rgb": (
        Tensor(_WEIGHT, "/kernel", "folded_rgb"),
        Tensor((".bias",), "/bias", "rgb"),
    ),
    "modulation": (Tensor(_WEIGHT, "/kernel", "folded_modulation"),),
    "statistics": (
        Tensor((".running_means",), "/moving_mean", "row"),
        Tensor((".running_vars",), "/moving_variance", "row"),
    ),
    "affine": (
        Tensor((".weight",), "/gain", "same"),
        Tensor((".bias",), "/offset", "same"),
    ),
    "scalar": (Tensor(("",), "", "scalar"),),
}

GENERATOR = (
    Row("embeddings", "class_embedding", "embedding"),
    Row("generator.gen_z", "first", "first"),
    Row("generator.bn", "output_norm", "affine"),
    Row("generator.bn", "output_norm", "statistics"),
    Row("generator.conv_to_rgb", "to_image", "rgb"),
)
BLOCK = (
    *(Row(f"conv_{k}", f"conv_{k + 1}", "conv") for k in range(4)),
    *(Row(f"bn_{k}.scale", f"norm_{k + 1}/gain", "modulation") for k in range(4)),
    *(Row(f"bn_{k}.offset", f"norm_{k + 1}/offset", "modulation") for k in range(4)),
    *(Row(f"bn_{k}", f"norm_{k + 1}", "statistics") for k in range(4)),
    # Only in DeepMind's BigGAN, whose variables `tfhub` renames to these keys.
    Row("conv_sc", "shortcut", "conv"),
)
ATTENTION = (
    *(Row(f"snconv1x1_{name}", name, "conv") for name in ("theta", "phi", "g")),
    Row("snconv1x1_o_conv", "o", "conv"),
    Row("gamma", "gamma", "scalar"),
)
TABLES = Tables(KINDS, GENERATOR, (), BLOCK, ATTENTION, r"^(generator\.layers\.\d+)\.")


def generator(architecture, num_classes: int, **overrides) -> Generator:
    """Returns a generator with the settings of the published models, ready for `load_generator`.

    Args:
      architecture: "biggan_deep128", "biggan_deep256", "biggan_deep512" or an `Architecture`.
      num_classes: Number of classes, 1000 for the published models.
      **overrides: Arguments of `Generator` that replace these settings.
    """
    return Generator(architecture, num_classes, **{**SETTINGS, **overrides})


def generator_rules(generator) -> list[Rule]:
    """Returns the rules that make a generator from the tensors of `pytorch_model.bin`.

    Args:
      generator: Generator to fill, without spectral norm.

    Raises:
      ValueError: The generator has spectral norm.
    """
    checks.require(
        not generator.factory.spectral_norm,
        "weights that are already divided by sigma need a generator with `spectral_norm` False",
        spectral_norm=generator.factory.spectral_norm,
    )
    rows, place = list(GENERATOR), 0
    for index, spec in enumerate(generator.block_specs):
        rows += [row.under(f"generator.layers.{place}", f"block_{index}") for row in BLOCK]
        place += 1
        if spec.attention:
            prefix = f"generator.layers.{place}"
            rows += [row.under(prefix, f"attention_{index}") for row in ATTENTION]
            place += 1
    layout = SourceLayout.of_generator(generator, embedding_first=False, channels_first=False)
    return expand(rows, KINDS, layout.transforms(), variables_by_path(generator))


def load_generator(generator, tensors: Mapping[str, np.ndarray]) -> None:
    """Assigns the tensors of `pytorch_model.bin` to a generator.

    Raises:
      ConversionError: The tensors do not fit the generator. It is then unchanged.
    """
    load(generator, generator_rules(generator), tensors)
