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
# Code bases whose weights can be converted, with the files that they write.
FAMILIES = {
    BIGGAN_PYTORCH: "ajbrock/BigGAN-PyTorch: G.pth, G_ema.pth or D.pth, or their folder",
    HUGGINGFACE: "pytorch-pretrained-BigGAN: *pytorch_model.bin, with its config.json beside it",
    MMAGIC: "mmagic, mmediting, mmgeneration: one .pth",
    STUDIOGAN: "PyTorch-StudioGAN: model=G_ema-best-weights-step=N.pth, or its folder",
    TFHUB: "DeepMind's TF-Hub modules biggan-* and biggan-deep-*: the folder",
}
FORMATS = ("pth", "npz")
CHANNEL_ORDERS = ("rgb", "bgr")
IMAGENET, NO_NAMES = "imagenet", "none"
PUBLISHED = "Default: as published by the code base."


@dataclass(frozen=True)
class ConvertConfig(Settings):
    """Which weights to convert, and what cannot be found from their tensors."""

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
        "Conversion back": ("to", "format"),
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
        None, "File or folder of the weights, or the handle of a module in a hub.", path=ONE_PATH
    )
    output: str | None = setting(None, "Folder to write. It must be new or empty.", path=ONE_PATH)
    suffix: str | None = setting(
        None,
        "Suffix of the checkpoint to convert if the folder holds several, such as best0 or copy1.",
    )
    resolution: int | None = setting(
        None, "Resolution of the images in pixels, if the tensors fit several."
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
        "For mmagic: order of the colour channels in the training images.",
        choices=CHANNEL_ORDERS,
    )
    attention_block: int | None = setting(
        None, "For tfhub: index, from 0, of the block that is followed by self-attention."
    )
    rectified_shortcuts: bool | None = setting(
        None,
        "For mmagic: whether the ReLUs of the discriminator work in place, so that its shortcuts"
        " are rectified. Default: as in the configuration in the file, otherwise false.",
    )
    class_names: str | None = setting(
        None,
        "Class names: imagenet, none, or a text file with one name per line. Default:"
        " imagenet for 1,000 classes, otherwise none.",
        path=ONE_PATH,
        none_is_a_value=True,
    )
    licence_note: str | None = setting(
        None,
        "Note about the licence of the weights. Runs that start from these weights keep the note,"
        " and so do exports.",
    )
    to: str | None = setting(
        None,
        "Other code base whose files are written, from a run or a converted model. Default: the"
        " input is converted to a model of tf_biggan.",
        choices=(BIGGAN_PYTORCH,),
    )
    format: str = setting("pth", "File format for --to. pth requires PyTorch.", choices=FORMATS)
