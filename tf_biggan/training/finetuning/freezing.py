"""FreezeD: excludes the discriminator's blocks nearest to the image from training.

Source: Mo, Cho, Shin, 2020, "Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs".
"""

from __future__ import annotations

from tf_biggan import checks
from tf_biggan.networks.discriminator import Discriminator


def freeze_blocks(discriminator: Discriminator, count: int) -> None:
    """Excludes the first `count` blocks, with the stem and their attention layers, from training.

    Their kernels and biases are no longer trainable variables, so they have no gradients and no
    optimiser slots. The vectors u of their spectral norm are still updated in every forward pass in
    training; the kernels stay fixed, so u only becomes more exact.

    Args:
      discriminator: Changed in place. Its optimiser must not be built yet.
      count: Number of residual blocks, counted from the image; 0 for none. BigGAN-deep has `depth`
        blocks per resolution.

    Raises:
      ValueError: The discriminator has fewer blocks.
    """
    checks.require_integer("freeze_d_blocks", count, 0, len(discriminator.blocks))
    if count and discriminator.stem is not None:
        discriminator.stem.trainable = False
    for block, attention in list(discriminator.blocks_with_attention())[:count]:
        block.trainable = False
        if attention is not None:
            attention.trainable = False
