"""Settings of three methods that keep samples varied when the data set is small.

The methods are DiffAugment, LeCam regularisation, and improved consistency regularisation, which
consists of bCR (balanced) and zCR (latent).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tf_biggan import checks
from tf_biggan.cli.settings import Settings, setting

DIFF_AUGMENTATIONS = ("color", "translation", "cutout")
AUGMENTATIONS = (*DIFF_AUGMENTATIONS, "flip")


def _names_parser(name: str, choices: tuple[str, ...]) -> Callable[[Any], str]:
    """Returns a parser of augmentation names separated by commas, for the setting `name`."""

    def parse(value: Any) -> str:
        given = value.split(",") if isinstance(value, str) else ()
        names = [part.strip() for part in given]
        checks.require(
            bool(names) and set(names) <= set(choices) and len(set(names)) == len(names),
            f"`{name}` must be one or more of {', '.join(choices)}, separated by commas, without"
            " repetition",
            **{name: value},
        )
        return ",".join(names)

    return parse


@dataclass(frozen=True)
class SmallDataSettings(Settings):
    """Augmentations and regularisers against overfitting of the discriminator, off by default."""

    diff_augment: str | None = setting(
        None,
        "Augmentations of DiffAugment, separated by commas: color, translation, cutout. They"
        " change real and generated images before the discriminator, in the updates of both"
        " networks. Default: none.",
        parse=_names_parser("diff_augment", DIFF_AUGMENTATIONS),
    )
    lecam_weight: float = setting(
        0.0,
        "Weight of LeCam regularisation. It keeps the logits of real images near the moving"
        " average of the logits of generated images, and vice versa.",
        minimum=0.0,
    )
    lecam_decay: float = setting(
        0.99, "Decay of LeCam's moving averages of logits.", minimum=0.0, maximum=1.0
    )
    bcr_real_weight: float = setting(
        0.0,
        "Weight of bCR (balanced consistency regularisation) on real images. It penalises the"
        " squared difference of the discriminator's logits for an image and for its augmented"
        " copy. The paper's value is 10.",
        minimum=0.0,
    )
    bcr_fake_weight: float = setting(
        0.0, "Weight of bCR on generated images. The paper's value is 10.", minimum=0.0
    )
    bcr_augment: str = setting(
        "flip,translation",
        "Augmentations of bCR, separated by commas: flip, translation, color, cutout. Leave out"
        " flip if mirrored images are wrong, as they are for digits and text.",
        parse=_names_parser("bcr_augment", AUGMENTATIONS),
    )
    zcr_d_weight: float = setting(
        0.0,
        "Weight of zCR (latent consistency regularisation) in the discriminator's loss. It"
        " penalises the squared difference of the logits for G(z) and for G(z + noise). The"
        " paper's value is 5.",
        minimum=0.0,
    )
    zcr_g_weight: float = setting(
        0.0,
        "Weight of zCR in the generator's loss. It rewards a difference between the images G(z)"
        " and G(z + noise). The paper's value is 0.5.",
        minimum=0.0,
    )
    zcr_sigma: float = setting(
        0.05, "Standard deviation of the noise that zCR adds to latent vectors.", minimum=0.0
    )


SMALL_DATA_FLAGS = tuple(field.name for field in dataclasses.fields(SmallDataSettings))
