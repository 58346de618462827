"""Our models for the golden fixtures, and conversions of statistics to our conventions."""

from __future__ import annotations

import math

import numpy as np

from tests.golden_files import Golden
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator

AUTHORS = {
    "aj_c10": dict(generator={}, discriminator={}, architecture="biggan32"),
    "aj_i64": dict(
        generator=dict(attention_stages=(2,)),
        discriminator=dict(attention_stages=(0,)),
        architecture="biggan64",
    ),
    "aj_i128": dict(generator={}, discriminator={}, architecture="biggan128"),
    "aj_i256": dict(
        generator=dict(attention_stages=(3,)), discriminator={}, architecture="biggan256"
    ),
    "aj_i512g": dict(generator={}, discriminator=None, architecture="biggan512"),
    "aj_deep128": dict(generator={}, discriminator={}, architecture="biggan_deep128"),
}
MMAGIC = {
    "mm_32": dict(
        architecture="biggan32",
        generator=dict(latent_dim=120, latent_injection="split", embedding_dim=128),
    ),
    "mm_128": dict(architecture="biggan128", generator={}),
    "mm_deep128": dict(architecture="biggan_deep128", generator={}),
}


def authors_generator(fixture: Golden, **overrides) -> Generator:
    """Returns our generator with the settings of an `aj_` fixture."""
    config, row = fixture.info["config"], AUTHORS[fixture.name]
    return Generator(
        row["architecture"],
        config["n_classes"],
        base_channels=config["G_ch"],
        sn_epsilon=config["SN_eps"],
        bn_epsilon=config["BN_eps"],
        initializer="n02",
        **{**row["generator"], **overrides},
    )


def authors_discriminator(fixture: Golden, **overrides) -> Discriminator:
    """Returns our discriminator with the settings of an `aj_` fixture."""
    config, row = fixture.info["config"], AUTHORS[fixture.name]
    return Discriminator(
        row["architecture"],
        config["n_classes"],
        base_channels=config["D_ch"],
        sn_epsilon=config["SN_eps"],
        initializer="n02",
        **{**row["discriminator"], **overrides},
    )


def mmagic_networks(fixture: Golden) -> tuple[Generator, Discriminator]:
    """Returns our networks with the settings of an `mm_` fixture."""
    config, row = fixture.info["config"], MMAGIC[fixture.name]
    settings = dict(
        architecture=row["architecture"],
        num_classes=config["num_classes"],
        base_channels=config["base_channels"],
        sn_epsilon=config["sn_eps"],
        initializer="n02",
    )
    return Generator(**settings, **row["generator"]), Discriminator(**settings)


def truncation_of_ours(truncation: float, num_statistics: int) -> float:
    """Returns our truncation that mixes the same rows as Hugging Face's code.

    That code exchanges the weights of rows i and i + 1. Its modf also rounds 0.14, 0.28 and 0.56 to
    one row later, and 0.58 and 0.94 to one row earlier.
    """
    fraction, row = math.modf(truncation / (1.0 / (num_statistics - 1)))
    place = row + 1 - fraction if fraction else row
    return place / (num_statistics - 1)


def biased_variances(generator: Generator, batch_size: int, old: dict, new: dict) -> dict:
    """Converts PyTorch's running variances after one training call to ours.

    PyTorch moves them by the unbiased batch variance, Keras by the biased one. A norm sees
    n = batch * height * width values a channel: the biased variance is (n - 1) / n of the other.

    Args:
      generator: for the map size at every norm.
      batch_size: of the training call.
      old: the variances before, new: after it, by the path of `moving_variance`.
    """
    momentum = generator.factory.bn_momentum
    converted = {}
    for path, value in new.items():
        height, width = norm_map_sizes(generator)[path.removesuffix("/moving_variance")]
        count = batch_size * height * width
        kept = momentum * old[path]
        converted[path] = kept + (value - kept) * (count - 1) / count
    return converted


def norm_map_sizes(generator: Generator) -> dict[str, tuple[int, int]]:
    """Returns the (height, width) of the input of each batch norm, by its path."""
    deep = generator.architecture.variant == "biggan_deep"
    after_upsampling = (3, 4) if deep else (2,)
    size, sizes = np.array(generator.bottom_size), {}
    for index, spec in enumerate(generator.block_specs):
        out = size * 2 if spec.resample else size
        for norm in range(1, 5 if deep else 3):
            seen = out if norm in after_upsampling else size
            sizes[f"block_{index}/norm_{norm}"] = tuple(seen)
        size = out
    sizes["output_norm"] = tuple(size)
    return sizes


def check_sigmas(fixture: Golden, model, rules, network: str, atol: float | None = None) -> None:
    """Compares the recorded sv0 of each kernel with sigma from the u before the call.

    Args:
      network: "G" or "D".
      atol: bound where the fixture has none of its own.
    """
    layers = {
        layer.path.removeprefix(f"{model.path}/"): layer
        for layer in model._flatten_layers(include_self=False, recursive=True)
        if hasattr(layer, "estimate_sigma")
    }
    sigmas = {
        key: value
        for key, value in fixture.buffers(f"{network}buf/").items()
        if key.endswith("sv0")
    }
    prefixes = {
        rule.sources[0].removesuffix(".u0"): rule.target.removesuffix("/u")
        for rule in rules
        if rule.sources[0].endswith(".u0")
    }
    assert len(sigmas) == len(layers) == len(prefixes)
    for key, value in sigmas.items():
        sigma, _, _ = layers[prefixes[key.removesuffix(".sv0")]].estimate_sigma()
        bound = fixture.atol(f"{network}buf/{key}") if atol is None else atol
        np.testing.assert_allclose(sigma, value[0], rtol=0, atol=bound, err_msg=key)
