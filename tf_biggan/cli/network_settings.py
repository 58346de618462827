"""Settings of the generator and the discriminator, a group of the settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass

from tf_biggan import checks
from tf_biggan.cli.image_sizes import as_resolution, resolution_parser
from tf_biggan.cli.settings import Settings, setting
from tf_biggan.networks.architecture_files import FIRST_SIZE, architecture_of, parse_architecture
from tf_biggan.networks.architectures import LATENT_INJECTIONS, VARIANTS

PRECISIONS = ("float32", "mixed_bfloat16", "float64")
PUBLISHED = "Default: the architecture's published value."


@dataclass(frozen=True)
class ModelConfig(Settings):
    """The generator and the discriminator."""

    variant: str = setting("biggan", "Kind of networks.", choices=VARIANTS)
    resolution: int | str = setting(
        32,
        "Size of the images in pixels: the side of a square, or HEIGHTxWIDTH such as 128x192. Both"
        " sides must be at least 16 and multiples of 4 (BigGAN-deep: 32 and 8).",
        parse=resolution_parser(minimum=8),
    )
    architecture: str | dict | None = setting(  # noqa: RUF009, nothing changes the dict
        None,
        "Name of an architecture such as biggan128, or a JSON or YAML file with an architecture of"
        " your own, instead of variant and resolution.",
        parse=parse_architecture,
    )
    num_classes: int | None = setting(
        None,
        "Number of classes; 0 for unconditional networks. Default: that of the data.",
        minimum=0,
    )
    image_channels: int = setting(
        3, "Channels of the images: 1 for grey, 3 for RGB.", minimum=1, maximum=4
    )
    g_channels: int | None = setting(
        None, f"Width multiplier of the generator. {PUBLISHED}", minimum=1
    )
    d_channels: int | None = setting(
        None, f"Width multiplier of the discriminator. {PUBLISHED}", minimum=1
    )
    g_depth: int | None = setting(
        None, f"Blocks per stage in the generator. {PUBLISHED}", minimum=1
    )
    d_depth: int | None = setting(
        None, f"Blocks per stage in the discriminator. {PUBLISHED}", minimum=1
    )
    latent_dim: int | None = setting(None, f"Length of the latent vector z. {PUBLISHED}", minimum=1)
    latent_injection: str | None = setting(
        None,
        f"Where the latent vector enters the generator. {PUBLISHED}",
        choices=LATENT_INJECTIONS,
    )
    embedding_dim: int | None = setting(
        None,
        "Length of the shared class embedding; 0 for a separate table in every batch norm."
        f" {PUBLISHED}",
        minimum=0,
    )
    g_attention: tuple[int, ...] | None = setting(
        None,
        "Numbers, from 0, of the generator's stages that are followed by self-attention; separated"
        " by commas."
        f" {PUBLISHED}",
    )
    d_attention: tuple[int, ...] | None = setting(
        None,
        "Numbers, from 0, of the discriminator's stages that are followed by self-attention;"
        f" separated by commas. {PUBLISHED}",
    )
    d_wide: bool = setting(
        True, "Use wide blocks in the discriminator. False for the thin blocks of SN-GAN."
    )
    d_rectified_shortcuts: bool = setting(
        False,
        "Apply the ReLU before the shortcuts of the discriminator, as PyTorch-StudioGAN does.",
    )
    g_initializer: str = setting(
        "ortho", "Initialisation of the generator's kernels.", choices=("ortho", "n02", "glorot")
    )
    d_initializer: str = setting(
        "ortho",
        "Initialisation of the discriminator's kernels.",
        choices=("ortho", "n02", "glorot"),
    )
    sn_epsilon: float = setting(1e-8, "Epsilon of spectral normalisation.", minimum=0.0)
    bn_epsilon: float = setting(1e-5, "Epsilon of the batch norms.", minimum=0.0)
    output_bn_epsilon: float | None = setting(
        None, "Epsilon of the generator's last batch norm. Default: bn_epsilon.", minimum=0.0
    )
    bn_momentum: float = setting(
        0.9,
        "Weight of the previous running statistics when batch norms update them.",
        minimum=0.0,
        maximum=1.0,
    )
    bn_synchronized: bool = setting(True, "Compute batch-norm moments over all replicas.")
    precision: str = setting("float32", "Keras dtype policy of both networks.", choices=PRECISIONS)

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.architecture, dict):
            self._require_consistent()

    def _require_consistent(self) -> None:
        """Raises ValueError if flags contradict a custom architecture."""
        own = architecture_of(self.architecture)
        height, width = own.image_size(self.architecture[FIRST_SIZE])
        made = {"variant": own.variant, "resolution": as_resolution(height, width)}
        given = self.changed(made)
        checks.require(
            all(made[name] == value for name, value in given.items()),
            f"the architecture {own.name} is {own.variant} and makes images of {height}x{width}"
            " pixels; leave these flags out",
            **given,
        )
