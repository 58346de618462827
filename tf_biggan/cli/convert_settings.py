"""Settings of `python -m tf_biggan.convert`. No TensorFlow is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tf_biggan.cli.settings import Settings, setting
from tf_biggan.files.file_paths import ONE_PATH

BIGGAN_PYTORCH = "biggan_pytorch"
HUGGINGFACE = "huggingface"
MMAGIC = "mmagic"
STUDIOGAN = "studiogan"
TFHUB = "tfhub"
# Code bases whose weights can be converted, and the files that they write.
FAMILIES = {
    BIGGAN_PYTORCH: "ajbrock/BigGAN-PyTorch (G.pth, G_ema.pth or D.pth, or their folder)",
    HUGGINGFACE: "pytorch-pretrained-BigGAN (*pytorch_model.bin, with its config.json beside it)",
    MMAGIC: "mmagic, mmediting or mmgeneration (a .pth file)",
    STUDIOGAN: "PyTorch-StudioGAN (model=G_ema-best-weights-step=N.pth, or its folder)",
    TFHUB: "DeepMind's TF-Hub modules biggan-* and biggan-deep-* (the folder of a module)",
}
FORMATS = ("pth", "npz")
CHANNEL_ORDERS = ("rgb", "bgr")
IMAGENET, NO_NAMES = "imagenet", "none"
PUBLISHED = "Default: as stored beside the weights, otherwise as published by the code base."


@dataclass(frozen=True)
class ConvertConfig(Settings):
    """The weights to convert, and facts about them that their tensors do not show."""

    required: ClassVar = ("input", "output")
    help_groups: ClassVar = {
        "Weights": ("input", "from", "suffix"),
        "Output": ("output", "class_names", "licence_note"),
        "What tensors do not show": (
            "resolution",
            "num_classes",
            "sn_epsilon",
            "bn_epsilon",
            "output_bn_epsilon",
            "channel_order",
            "attention_block",
            "rectified_shortcuts",
        ),
        "Conversion to another code base": ("to", "format"),
    }

    # `from` is a keyword of Python and cannot name a field.
    family: str | None = setting(
        None,
        "Code base that wrote the weights. "
        + "; ".join(f"{name}: {text}" for name, text in FAMILIES.items())
        + ". Default: found from the tensors.",
        choices=tuple(FAMILIES),
        flag="from",
    )
    input: str | None = setting(
        None, "File or folder of the weights, or the handle of a model in a hub.", path=ONE_PATH
    )
    output: str | None = setting(None, "Folder to write. It must be new or empty.", path=ONE_PATH)
    suffix: str | None = setting(
        None,
        "Suffix of the checkpoint to convert if the folder holds several, such as best0 or copy1.",
    )
    resolution: int | None = setting(
        None, "Resolution of the images in pixels, if the tensors fit several resolutions."
    )
    num_classes: int | None = setting(
        None, "Expected number of classes. The conversion fails if the tensors have another number."
    )
    sn_epsilon: float | None = setting(None, f"Epsilon of spectral normalisation. {PUBLISHED}")
    bn_epsilon: float | None = setting(None, f"Epsilon of the batch norms. {PUBLISHED}")
    output_bn_epsilon: float | None = setting(
        None, f"Epsilon of the generator's last batch norm. {PUBLISHED}"
    )
    channel_order: str | None = setting(
        None,
        "For mmagic: order of the colour channels in the training images. Default: found from the"
        " configuration in the file or from the file's name.",
        choices=CHANNEL_ORDERS,
    )
    attention_block: int | None = setting(
        None,
        "For tfhub: number of the block, counted from 0, that is followed by self-attention."
        " Default: found from the widths of the layers.",
    )
    rectified_shortcuts: bool | None = setting(
        None,
        "For mmagic: whether the ReLUs of the discriminator work in place, so that its shortcuts"
        " see features after the ReLU. Default: found from the configuration in the file. A"
        " discriminator without a configuration needs this flag.",
    )
    class_names: str | None = setting(
        None,
        "Class names: imagenet, none, or a text file with one name per line. Default: imagenet if"
        " there are 1,000 classes, otherwise none.",
        path=ONE_PATH,
        none_is_a_value=True,
    )
    licence_note: str | None = setting(
        None,
        "Note about the licence of the weights. Exports, and runs that start from these weights,"
        " keep the note.",
    )
    to: str | None = setting(
        None,
        "Convert a run or a converted model to files of this code base. Default: convert weights"
        " of another code base to a model of tf_biggan.",
        choices=(BIGGAN_PYTORCH,),
    )
    format: str = setting(
        "pth", "Format of the files that --to writes. pth needs PyTorch.", choices=FORMATS
    )
