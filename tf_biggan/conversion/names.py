"""The code bases whose checkpoints are converted, as `--from` names them. Imports nothing."""

BIGGAN_PYTORCH = "biggan_pytorch"
HUGGINGFACE = "huggingface"
MMAGIC = "mmagic"
STUDIOGAN = "studiogan"
TFHUB = "tfhub"

FAMILIES = {
    BIGGAN_PYTORCH: "ajbrock/BigGAN-PyTorch: G.pth, G_ema.pth or D.pth, or their folder",
    HUGGINGFACE: "pytorch-pretrained-BigGAN: *pytorch_model.bin, with its config.json beside it",
    MMAGIC: "mmagic, mmediting, mmgeneration: one .pth",
    STUDIOGAN: "PyTorch-StudioGAN: model=G_ema-best-weights-step=N.pth, or its folder",
    TFHUB: "DeepMind's TF-Hub modules biggan-* and biggan-deep-*: the folder",
}
# Code bases whose spectral norm is folded into the kernels that are converted.
FOLDED = (HUGGINGFACE, TFHUB)
