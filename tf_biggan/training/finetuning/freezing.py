"""FreezeD: the blocks of a discriminator that are nearest to the image are not trained.

Source: Mo, Cho, Shin, 2020, "Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs".
"""

from __future__ import annotations

from tf_biggan import checks
from tf_biggan.networks.discriminator import Discriminator


def freeze_blocks(discriminator: Discriminator, count: int) -> None:
    """Takes the first `count` blocks, with the stem and attentions among them, out of training.

    Their kernels and biases are no trainable variables any more: no gradient, no optimiser slots.
    The vectors u of their spectral norm move on, as in every training forward: they are estimates
    of what does not change, and only get better.

    Args:
      discriminator: changed in place, before its optimiser is built.
      count: residual blocks from the image's side; 0 for none. In BigGAN-deep a resolution has
        `depth` of them.

    Raises:
      ValueError: the discriminator has fewer blocks.
    """
    checks.require_integer("freeze_d_blocks", count, 0, len(discriminator.blocks))
    if count and discriminator.stem is not None:
        discriminator.stem.trainable = False
    for block, attention in list(discriminator.blocks_with_attention())[:count]:
        block.trainable = False
        if attention is not None:
            attention.trainable = False
