"""Settings of the generator and the discriminator of a training run."""

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
    """Settings of the generator and the discriminator."""

    variant: str = setting(
        "biggan", "Kind of both networks: BigGAN or BigGAN-deep.", choices=VARIANTS
    )
    resolution: int | str = setting(
        32,
        "Size of the images in pixels: the side of a square, or HEIGHTxWIDTH such as 128x192."
        " Both sides must be at least 16 and multiples of 4, or at least 32 and multiples of 8"
        " for BigGAN-deep.",
        parse=resolution_parser(minimum=8),
    )
    architecture: str | dict | None = setting(  # noqa: RUF009, nothing changes the dict
        None,
        "Architecture to use instead of --variant and --resolution: a name such as biggan128, or"
        " a JSON or YAML file with an architecture of your own.",
        parse=parse_architecture,
    )
    num_classes: int | None = setting(
        None,
        "Number of classes; 0 for unconditional networks. Default: the number of classes in the"
        " data.",
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
        None, f"Number of blocks in each stage of the generator. {PUBLISHED}", minimum=1
    )
    d_depth: int | None = setting(
        None, f"Number of blocks in each stage of the discriminator. {PUBLISHED}", minimum=1
    )
    latent_dim: int | None = setting(None, f"Length of the latent vector z. {PUBLISHED}", minimum=1)
    latent_injection: str | None = setting(
        None,
        "Where the latent vector enters the generator: first (in the first layer), split (one"
        " part in the first layer and one in each block) or all (the whole vector in the first"
        f" layer and in each block). {PUBLISHED}",
        choices=LATENT_INJECTIONS,
    )
    embedding_dim: int | None = setting(
        None,
        "Length of the class embedding that the conditional batch norms share; 0 for a separate"
        f" table in every batch norm. {PUBLISHED}",
        minimum=0,
    )
    g_attention: tuple[int, ...] | None = setting(
        None,
        "Numbers of the generator's stages after which self-attention is applied, counted from 0"
        f" and separated by commas. {PUBLISHED}",
    )
    d_attention: tuple[int, ...] | None = setting(
        None,
        "Numbers of the discriminator's stages after which self-attention is applied, counted from"
        f" 0 and separated by commas. {PUBLISHED}",
    )
    d_wide: bool = setting(
        True,
        "Use wide blocks in the discriminator, as BigGAN does. --nod_wide uses the thin"
        " blocks of SN-GAN.",
    )
    d_rectified_shortcuts: bool = setting(
        False,
        "Apply the ReLU before the shortcuts of the discriminator, as PyTorch-StudioGAN does.",
    )
    g_initializer: str = setting(
        "ortho",
        "Initialisation of the generator's kernels: ortho (orthogonal), n02 (normal with"
        " standard deviation 0.02) or glorot (Glorot's uniform).",
        choices=("ortho", "n02", "glorot"),
    )
    d_initializer: str = setting(
        "ortho",
        "Initialisation of the discriminator's kernels, as for --g_initializer.",
        choices=("ortho", "n02", "glorot"),
    )
    sn_epsilon: float = setting(1e-8, "Epsilon of spectral normalisation.", minimum=0.0)
    bn_epsilon: float = setting(1e-5, "Epsilon of the batch norms.", minimum=0.0)
    output_bn_epsilon: float | None = setting(
        None,
        "Epsilon of the generator's last batch norm. Default: the value of --bn_epsilon.",
        minimum=0.0,
    )
    bn_momentum: float = setting(
        0.9,
        "Weight of the previous running statistics when batch norms update them.",
        minimum=0.0,
        maximum=1.0,
    )
    bn_synchronized: bool = setting(
        True, "Compute batch-norm means and variances over all replicas together."
    )
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
