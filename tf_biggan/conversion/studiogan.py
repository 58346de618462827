"""Tables for PyTorch-StudioGAN's BigGAN and BigGAN-deep (its `big_resnet_deep_legacy`).

Attention layers are numbered together with the blocks. Like BigGAN-PyTorch, StudioGAN concatenates
[y, z] (class embedding and latent vector) and stores the first feature map with channels first. The
tables have StudioGAN's keys after `spectral_norm_styles` has renamed them. StudioGAN's
discriminators have in-place ReLUs, so their shortcuts see features after the ReLU.
"""

from __future__ import annotations

from tf_biggan.conversion.biggan_pytorch import generator_layout
from tf_biggan.conversion.mmagic import KINDS as MMAGIC_KINDS
from tf_biggan.conversion.rules import DISCRIMINATOR_LAYOUT, Row, Rule, Tables, Tensor, expand
from tf_biggan.networks.network import variables_by_path

IGNORED = {r"\.num_batches_tracked$": "a counter of batches"}
KINDS = {**MMAGIC_KINDS, "scalar": (Tensor(("",), "", "scalar"),)}
GENERATOR = (
    Row("shared", "class_embedding", "table"),
    Row("linear0", "first", "first"),
    Row("bn4", "output_norm", "affine"),
    Row("bn4", "output_norm", "statistics"),
    Row("conv2d5", "to_image", "conv"),
)
DISCRIMINATOR = (
    Row("input_conv", "stem", "conv"),
    Row("linear1", "to_logit", "dense"),
    Row("embedding", "class_embedding", "table"),
)
BLOCK = (
    *(Row(f"conv2d{k}", f"conv_{k}", "conv") for k in range(1, 5)),
    *(Row(f"bn{k}.gain", f"norm_{k}/gain", "modulation") for k in range(1, 5)),
    *(Row(f"bn{k}.bias", f"norm_{k}/offset", "modulation") for k in range(1, 5)),
    *(Row(f"bn{k}.bn", f"norm_{k}", "statistics") for k in range(1, 5)),
    Row("conv2d0", "shortcut", "conv"),
)
ATTENTION = (
    *(Row(f"conv1x1_{name}", name, "conv") for name in ("theta", "phi", "g")),
    Row("conv1x1_attn", "o", "conv"),
    Row("sigma", "gamma", "scalar"),
)
TABLES = Tables(
    KINDS, GENERATOR, DISCRIMINATOR, BLOCK, ATTENTION, r"^(blocks\.\d+\.\d+)\.", IGNORED
)


def _block_rows(model) -> list[Row]:
    rows, place = [], 0
    for index, spec in enumerate(model.block_specs):
        rows += [row.under(f"blocks.{place}.0", f"block_{index}") for row in BLOCK]
        place += 1
        if spec.attention:
            rows += [row.under(f"blocks.{place}.0", f"attention_{index}") for row in ATTENTION]
            place += 1
    return rows


def generator_rules(generator) -> list[Rule]:
    """Returns the rules that convert StudioGAN's tensors to a generator's variables."""
    rows = [*GENERATOR, *_block_rows(generator)]
    transforms = generator_layout(generator).transforms()
    return expand(rows, KINDS, transforms, variables_by_path(generator))


def discriminator_rules(discriminator) -> list[Rule]:
    """Returns the rules that convert StudioGAN's tensors to a discriminator's variables."""
    rows = [*DISCRIMINATOR, *_block_rows(discriminator)]
    transforms = DISCRIMINATOR_LAYOUT.transforms()
    return expand(rows, KINDS, transforms, variables_by_path(discriminator))
