"""Channel plans of every published BigGAN and BigGAN-deep, as data.

Multipliers are in units of `base_channels` (the papers' "ch"). A stage is one resolution step: one
block in BigGAN, `depth` blocks in BigGAN-deep. Nothing here imports TensorFlow or Keras.
"""

from __future__ import annotations

import dataclasses

from tf_biggan import checks

LATENT_INJECTIONS = ("first", "split", "all")
VARIANTS = ("biggan", "biggan_deep")


@dataclasses.dataclass(frozen=True)
class Trunk:
    """The residual stages of one network.

    Attributes:
      widths: channel multipliers. For a generator and for BigGAN-deep's discriminator
        `widths[i]` enters stage i and `widths[i + 1]` leaves it. For BigGAN's discriminator the
        image enters stage 0 and `widths[i]` leaves stage i.
      resample: one flag a stage, whether it doubles (generator) or halves (discriminator) the size.
      attention: stages, counted from 0, whose output passes through self-attention.
    """

    widths: tuple[int, ...]
    resample: tuple[bool, ...]
    attention: tuple[int, ...] = ()

    def __post_init__(self):
        checks.require(
            all(0 <= stage < len(self.resample) for stage in self.attention),
            f"`attention` must name stages from 0 to {len(self.resample) - 1}",
            attention=self.attention,
        )


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A published pair of networks.

    Attributes:
      variant: "biggan" or "biggan_deep"; decides the kind of residual block.
      base_channels: published width multiplier.
      depth: blocks per resolution (1 in BigGAN).
      latent_dim: size of z.
      latent_injection: where z goes. "first": only the first dense layer. "split": one equal chunk
        to the first dense layer and one to every block ("skip-z", hierarchical). "all": the whole
        z, joined with the class embedding, to the first dense layer and every block.
      embedding_dim: size of the shared class embedding; 0 for per-class gain and bias tables.
      source: who the row follows.
    """

    name: str
    variant: str
    generator: Trunk
    discriminator: Trunk
    base_channels: int
    depth: int
    latent_dim: int
    latent_injection: str
    embedding_dim: int
    source: str

    def __post_init__(self):
        checks.require_choice("variant", self.variant, VARIANTS)
        checks.require_choice("latent_injection", self.latent_injection, LATENT_INJECTIONS)
        stages = len(self.generator.resample)
        checks.require(
            len(self.generator.widths) == stages + 1,
            f"a generator of {stages} stages must have {stages + 1} widths",
            widths=self.generator.widths,
        )
        stages = len(self.discriminator.resample)
        expected = stages + (self.variant == "biggan_deep")
        checks.require(
            len(self.discriminator.widths) == expected,
            f"a {self.variant} discriminator of {stages} stages must have {expected} widths",
            widths=self.discriminator.widths,
        )

    @property
    def scale(self) -> int:
        """Image size over bottom size."""
        return 2 ** sum(self.generator.resample)

    @property
    def resolution(self) -> int:
        """Image size in pixels when the bottom is 4x4."""
        return 4 * self.scale

    @classmethod
    def from_dict(cls, fields: dict) -> Architecture:
        """The inverse of `dataclasses.asdict`; lists (from JSON) become tuples again."""
        trunks = {
            side: Trunk(**{key: tuple(value) for key, value in fields[side].items()})
            for side in ("generator", "discriminator")
        }
        return cls(**{**fields, **trunks})


def _all(count: int) -> tuple[bool, ...]:
    return (True,) * count


def _biggan(name, generator, discriminator, source, **overrides) -> Architecture:
    published = dict(
        base_channels=96, depth=1, latent_dim=120, latent_injection="split", embedding_dim=128
    )
    return Architecture(
        name, "biggan", generator, discriminator, source=source, **{**published, **overrides}
    )


def _deep(name, generator, discriminator, source) -> Architecture:
    return Architecture(
        name,
        "biggan_deep",
        generator,
        discriminator,
        base_channels=128,
        depth=2,
        latent_dim=128,
        latent_injection="all",
        embedding_dim=128,
        source=source,
    )


def double_resolution(architecture: Architecture, name: str) -> Architecture:
    """The rule that extends the table: one more stage of the outermost width at the image's side.

    Attention stays at the same map size, and a split z keeps its chunk size.
    """
    g, d = architecture.generator, architecture.discriminator
    chunk = architecture.latent_dim // (len(g.resample) + 1)
    split = architecture.latent_injection == "split"
    return dataclasses.replace(
        architecture,
        name=name,
        generator=Trunk(g.widths + g.widths[-1:], g.resample + (True,), g.attention),
        discriminator=Trunk(
            d.widths[:1] + d.widths,
            (True,) + d.resample,
            tuple(stage + 1 for stage in d.attention),
        ),
        latent_dim=architecture.latent_dim + chunk if split else architecture.latent_dim,
        source=f"{architecture.name} extended by one stage; nothing published at this size",
    )


_G_512 = Trunk((16, 16, 8, 8, 4, 2, 1, 1), _all(7), (3,))
_D_512 = Trunk((1, 1, 2, 4, 8, 8, 16, 16), _all(7) + (False,), (2,))
_BIGGAN_512 = _biggan(
    "biggan512",
    _G_512,
    _D_512,
    "paper, Table 6 and compare_gan's resnet_biggan: z 160, attention at 64x64 in G and D",
    latent_dim=160,
)
_DEEP_512 = _deep(
    "biggan_deep512",
    Trunk((16, 16, 8, 8, 4, 2, 1, 1), _all(7), (3,)),
    Trunk((1, 1, 2, 4, 8, 8, 16, 16), _all(7), (2,)),
    "paper, Table 9 (D's attention at 64x64; mmagic puts it at 32x32)",
)

ARCHITECTURES: dict[str, Architecture] = {
    row.name: row
    for row in (
        _biggan(
            "biggan32",
            Trunk((4, 4, 4, 4), _all(3)),
            Trunk((4, 4, 4, 4), (True, True, False, False)),
            "BigGAN-PyTorch, launch_cifar_ema; mmagic's CIFAR-10 model is the same",
            base_channels=64,
            latent_dim=128,
            latent_injection="first",
            embedding_dim=0,
        ),
        _biggan(
            "biggan32_studiogan",
            Trunk((4, 4, 4, 4), _all(3), (1,)),
            Trunk((2, 2, 2, 2), (True, True, False, False), (0,)),
            "PyTorch-StudioGAN, CIFAR10 BigGAN: attention at 16x16 in G and D",
            latent_dim=80,
        ),
        _biggan(
            "biggan64",
            Trunk((16, 16, 8, 4, 2), _all(4), (3,)),
            Trunk((1, 2, 4, 8, 16), _all(4) + (False,)),
            "BigGAN-PyTorch and mmagic: attention at 64x64 in G, none in D",
        ),
        _biggan(
            "biggan128",
            Trunk((16, 16, 8, 4, 2, 1), _all(5), (3,)),
            Trunk((1, 2, 4, 8, 16, 16), _all(5) + (False,), (0,)),
            "BigGAN-PyTorch, bs256x8. The paper's Table 4 prints D's widths one stage early;"
            " its 88.0M parameters are these",
        ),
        _biggan(
            "biggan256",
            Trunk((16, 16, 8, 8, 4, 2, 1), _all(6), (4,)),
            Trunk((1, 2, 4, 8, 8, 16, 16), _all(6) + (False,), (1,)),
            "paper, Table 5, and DeepMind's Hub module: attention at 128x128 in G, 64x64 in D"
            " (BigGAN-PyTorch and mmagic default to 64x64 in G)",
            latent_dim=140,
        ),
        _BIGGAN_512,
        _biggan(
            "biggan512_hub",
            _G_512,
            _D_512,
            "DeepMind's Hub module biggan-512: as the paper's, with z 128 in chunks of 16",
            latent_dim=128,
        ),
        double_resolution(_BIGGAN_512, "biggan1024"),
        _deep(
            "biggan_deep32",
            Trunk((4, 4, 4, 4), _all(3)),
            Trunk((4, 4, 4, 4), (True, True, False)),
            "BigGAN-PyTorch's BigGANdeep and mmagic",
        ),
        _deep(
            "biggan_deep64",
            Trunk((16, 16, 8, 4, 2), _all(4), (3,)),
            Trunk((1, 2, 4, 8, 16), _all(4)),
            "BigGAN-PyTorch's BigGANdeep and mmagic",
        ),
        _deep(
            "biggan_deep128",
            Trunk((16, 16, 8, 4, 2, 1), _all(5), (3,)),
            Trunk((1, 2, 4, 8, 16, 16), _all(5), (0,)),
            "paper, Table 7; DeepMind's Hub module; BigGAN-PyTorch's BigGANdeep",
        ),
        _deep(
            "biggan_deep256",
            Trunk((16, 16, 8, 8, 4, 2, 1), _all(6), (3,)),
            Trunk((1, 2, 4, 8, 8, 16, 16), _all(6), (1,)),
            "paper, Table 8; DeepMind's Hub module",
        ),
        _DEEP_512,
        double_resolution(_DEEP_512, "biggan_deep1024"),
    )
}


def get_architecture(architecture: str | Architecture | dict) -> Architecture:
    """The row of that name; an `Architecture`, or its fields as a dict, passes through.

    Raises:
      ValueError: there is no row of that name.
    """
    if isinstance(architecture, Architecture):
        return architecture
    if isinstance(architecture, dict):
        return Architecture.from_dict(architecture)
    checks.require_choice("architecture", architecture, tuple(ARCHITECTURES))
    return ARCHITECTURES[architecture]


def architecture_for(variant: str, resolution: int) -> Architecture:
    """The standard row of a variant at a resolution in pixels.

    Raises:
      ValueError: unknown variant, or no row at that resolution.
    """
    checks.require_choice("variant", variant, VARIANTS)
    resolutions = tuple(
        row.resolution
        for row in ARCHITECTURES.values()
        if row.name == f"{row.variant}{row.resolution}" and row.variant == variant
    )
    checks.require_choice("resolution", resolution, resolutions)
    return ARCHITECTURES[f"{variant}{resolution}"]
