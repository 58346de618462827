"""Architectures of BigGAN and BigGAN-deep, and the residual blocks of each network.

Widths are numbers of channels in units of `base_channels` ("ch" in the papers). A stage is one
block in BigGAN and `depth` blocks in BigGAN-deep. Most stages double or halve the height and width
of the feature map; the last stages of some discriminators keep them. This module imports neither
TensorFlow nor Keras.
"""

from __future__ import annotations

import dataclasses

from tf_biggan import checks

LATENT_INJECTIONS = ("first", "split", "all")
VARIANTS = ("biggan", "biggan_deep")
BOTTLENECK_RATIO = 4


@dataclasses.dataclass(frozen=True)
class Trunk:
    """The residual stages of one network.

    Attributes:
      widths: Numbers of channels in units of `base_channels`. In a generator and in BigGAN-deep's
        discriminator, stage i has input width `widths[i]` and output width `widths[i + 1]`. In
        BigGAN's discriminator, stage 0 takes the image, and stage i has output width `widths[i]`.
      resample: Whether each stage doubles (generator) or halves (discriminator) height and width.
      attention: Stages, counted from 0, whose output passes through self-attention.
    """

    widths: tuple[int, ...]
    resample: tuple[bool, ...]
    attention: tuple[int, ...] = ()

    def __post_init__(self):
        checks.require(
            all(0 <= stage < len(self.resample) for stage in self.attention),
            f"`attention` must hold indices of stages, from 0 to {len(self.resample) - 1}",
            attention=self.attention,
        )


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The architecture of a generator and a discriminator.

    Attributes:
      name: The name in `ARCHITECTURES`, or the name of a custom architecture.
      variant: "biggan" or "biggan_deep", which determines the kind of residual block.
      generator, discriminator: The stages of each network.
      base_channels: Published width multiplier, "ch" in the papers.
      depth: Residual blocks per stage (1 in BigGAN).
      latent_dim: Size of the latent vector z.
      latent_injection: Which layers receive z. "first": only the first dense layer receives it.
        "split": the first dense layer and every block receive one chunk of z each, all of equal
        size; a block joins its chunk with the class embedding ("skip-z" or hierarchical latent
        space). "all": the first dense layer and every block receive the whole z, joined with the
        class embedding.
      embedding_dim: Size of the class embedding that all conditional batch norms share. 0: there is
        no embedding, and every conditional batch norm has its own gains and offsets for each class.
      source: The publication or code that this architecture follows.
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
            f"`widths` of a generator with {stages} stages must have {stages + 1} entries",
            widths=self.generator.widths,
        )
        stages = len(self.discriminator.resample)
        expected = stages + (self.variant == "biggan_deep")
        checks.require(
            len(self.discriminator.widths) == expected,
            f"`widths` of a {self.variant} discriminator with {stages} stages must have"
            f" {expected} entries",
            widths=self.discriminator.widths,
        )

    @property
    def scale(self) -> int:
        """Image height divided by the height of the generator's first feature map."""
        return 2 ** sum(self.generator.resample)

    @property
    def resolution(self) -> int:
        """Image height and width in pixels if the first feature map is 4x4."""
        return 4 * self.scale

    def image_size(self, first_size: tuple[int, int]) -> tuple[int, int]:
        """Returns (height, width) of the images, given (height, width) of the first feature map."""
        height, width = first_size
        return height * self.scale, width * self.scale

    @classmethod
    def from_dict(cls, fields: dict) -> Architecture:
        """Returns the architecture that `dataclasses.asdict` turned into `fields`.

        The fields may have been stored as JSON, so lists are accepted in place of tuples.
        """
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
    """Returns the architecture with one more stage, for images of twice the resolution.

    In both networks, the new stage is the one closest to the image. It has as many channels as the
    feature map that was closest to the image before. Attention stays at feature maps of the same
    size. If z is split into chunks, they keep their size, and z grows by one chunk.
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
            "biggan16",
            Trunk((4, 4, 2), _all(2)),
            Trunk((2, 4, 4), (True, True, False)),
            "biggan32 with one stage less and half the width at the image; nothing published at"
            " this size",
            base_channels=64,
            latent_dim=128,
            latent_injection="first",
            embedding_dim=0,
        ),
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
            "BigGAN-PyTorch, bs256x8. The paper's Table 4 prints D's widths one stage early, but"
            " its parameter count of 88.0M belongs to these widths",
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
    """Returns the architecture that a name, a dict or an `Architecture` stands for.

    Args:
      architecture: A name in `ARCHITECTURES`; the fields of an `Architecture` as a dict; or an
        `Architecture`, which is returned unchanged.

    Raises:
      ValueError: There is no architecture with this name.
    """
    if isinstance(architecture, Architecture):
        return architecture
    if isinstance(architecture, dict):
        return Architecture.from_dict(architecture)
    checks.require_choice("architecture", architecture, tuple(ARCHITECTURES))
    return ARCHITECTURES[architecture]


def architecture_for(variant: str, resolution: int) -> Architecture:
    """Returns the standard architecture, such as biggan128, of a variant at a resolution in pixels.

    Raises:
      ValueError: The variant is unknown or has no architecture at this resolution.
    """
    checks.require_choice("variant", variant, VARIANTS)
    resolutions = tuple(
        row.resolution
        for row in ARCHITECTURES.values()
        if row.name == f"{row.variant}{row.resolution}" and row.variant == variant
    )
    checks.require_choice("resolution", resolution, resolutions)
    return ARCHITECTURES[f"{variant}{resolution}"]


def fit_architecture(variant: str, height: int, width: int) -> tuple[Architecture, tuple[int, int]]:
    """Returns the standard architecture for images of this size, and its first feature map's size.

    The image size is the size of the first feature map times the architecture's `scale`. Among the
    variant's standard architectures that reach the image size with a first feature map of at least
    4x4, the deepest one is returned. For images of 128x192 it is the architecture for 128x128, with
    a first feature map of 4x6.

    Args:
      variant: "biggan" or "biggan_deep".
      height, width: Size of the images in pixels.

    Returns:
      (architecture, (height, width) of the first feature map).

    Raises:
      ValueError: The variant is unknown, or no architecture makes images of this size.
    """
    checks.require_choice("variant", variant, VARIANTS)
    rows = [row for row in ARCHITECTURES.values() if row.name == f"{variant}{row.resolution}"]
    rows.sort(key=lambda row: row.scale)
    sizes, scale = [row.resolution for row in rows], rows[0].scale
    fitting = [
        row
        for row in rows
        if height % row.scale == width % row.scale == 0 and min(height, width) >= row.resolution
    ]
    checks.require(
        bool(fitting),
        f"`resolution` must be one of {', '.join(map(str, sizes))}, or have sides of at least"
        f" {sizes[0]} that are multiples of {scale}, such as {sizes[0]}x{sizes[0] + scale}",
        resolution=height if height == width else f"{height}x{width}",
    )
    row = fitting[-1]
    return row, (height // row.scale, width // row.scale)


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """Widths and options of one residual block.

    Attributes:
      in_channels, hidden_channels, out_channels: Numbers of channels of the block's input, of the
        maps between its convolutions, and of its output.
      resample: Whether the block doubles (generator) or halves (discriminator) height and width.
      attention: Whether self-attention follows the block.
    """

    in_channels: int
    hidden_channels: int
    out_channels: int
    resample: bool
    attention: bool


def generator_blocks(
    architecture: Architecture,
    base_channels: int,
    depth: int,
    attention: tuple[int, ...],
) -> tuple[BlockSpec, ...]:
    """Returns the blocks of a generator, from the first feature map to the image.

    The last block of a stage changes the number of channels and doubles height and width; the
    blocks before it keep them (paper, Tables 7-9). With `depth` 1, as in BigGAN, each stage is a
    single block.

    Args:
      architecture: The architecture, which defines the stages and the variant.
      base_channels: Width multiplier.
      depth: Blocks per stage.
      attention: Stages, counted from 0, whose last block is followed by self-attention.
    """
    trunk = dataclasses.replace(architecture.generator, attention=attention)
    bottleneck = architecture.variant == "biggan_deep"
    specs = []
    for stage, resample in enumerate(trunk.resample):
        entering, leaving = (base_channels * m for m in trunk.widths[stage : stage + 2])
        for block in range(depth):
            last = block == depth - 1
            out = leaving if last else entering
            specs.append(
                BlockSpec(
                    in_channels=entering,
                    hidden_channels=max(1, entering // BOTTLENECK_RATIO) if bottleneck else out,
                    out_channels=out,
                    resample=resample and last,
                    attention=stage in trunk.attention and last,
                )
            )
    return tuple(specs)


def discriminator_blocks(
    architecture: Architecture,
    base_channels: int,
    depth: int,
    attention: tuple[int, ...],
    image_channels: int,
    wide: bool,
) -> tuple[BlockSpec, ...]:
    """Returns the blocks of a discriminator, from the image to the head.

    The first block of a stage changes the number of channels and halves height and width. In
    BigGAN-deep, a convolution (the stem) comes before the first block, and blocks have bottlenecks.

    Args:
      architecture: The architecture, which defines the stages and the variant.
      base_channels: Width multiplier.
      depth: Blocks per stage.
      attention: Stages, counted from 0, whose last block is followed by self-attention.
      image_channels: Channels of the images.
      wide: Whether the inner width of a BigGAN block is its output width, as in BigGAN. If False,
        it is the input width, as in SN-GAN.
    """
    trunk = dataclasses.replace(architecture.discriminator, attention=attention)
    bottleneck = architecture.variant == "biggan_deep"
    widths = tuple(base_channels * multiplier for multiplier in trunk.widths)
    seams = widths if bottleneck else (image_channels, *widths)
    specs = []
    for stage, resample in enumerate(trunk.resample):
        for block in range(depth):
            first, last = block == 0, block == depth - 1
            entering, out = seams[stage] if first else seams[stage + 1], seams[stage + 1]
            inner = max(1, out // BOTTLENECK_RATIO) if bottleneck else (out if wide else entering)
            specs.append(
                BlockSpec(
                    in_channels=entering,
                    hidden_channels=inner,
                    out_channels=out,
                    resample=resample and first,
                    attention=stage in trunk.attention and last,
                )
            )
    return tuple(specs)
