"""Adversarial losses, one value per example: the caller divides by the global batch.

Every discriminator loss takes logits [N] of real and of generated images and returns the pair of
losses ([N], [N]); every generator loss takes the logits of generated images and returns [N].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from keras import ops

from tf_biggan import checks
from tf_biggan.cli.settings import OBJECT_FORM, is_object_name, load_object


def hinge_discriminator(real_logits, fake_logits):
    """relu(1 - D(x)) and relu(1 + D(G(z))). Source: paper, section 2; BigGAN-PyTorch, losses.py."""
    return ops.relu(1.0 - real_logits), ops.relu(1.0 + fake_logits)


def hinge_generator(fake_logits):
    """-D(G(z))."""
    return -fake_logits


def nonsaturating_discriminator(real_logits, fake_logits):
    """softplus(-D(x)) and softplus(D(G(z))). Source: Goodfellow et al., 2014."""
    return ops.softplus(-real_logits), ops.softplus(fake_logits)


def nonsaturating_generator(fake_logits):
    """softplus(-D(G(z)))."""
    return ops.softplus(-fake_logits)


def wasserstein_discriminator(real_logits, fake_logits):
    """-D(x) and D(G(z)). Source: Arjovsky et al., 2017; the Lipschitz bound is spectral norm's."""
    return -real_logits, fake_logits


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """The two sides of a loss.

    Attributes:
      discriminator: Maps the logits [N] of real and of generated images to two losses [N].
      generator: Maps the logits [N] of generated images to a loss [N].
    """

    discriminator: Callable
    generator: Callable


SIDES = tuple(field.name for field in dataclasses.fields(AdversarialLoss))


LOSSES = {
    "hinge": AdversarialLoss(hinge_discriminator, hinge_generator),
    "nonsaturating": AdversarialLoss(nonsaturating_discriminator, nonsaturating_generator),
    "wasserstein": AdversarialLoss(wasserstein_discriminator, hinge_generator),
}


def get_loss(name: str) -> AdversarialLoss:
    """Returns a loss of this module by its name, or a loss of the user's own module.

    Args:
      name: A key of `LOSSES`, or MODULE:ATTRIBUTE of an object with the two functions of
        `AdversarialLoss`.

    Raises:
      ValueError: There is no such loss, or the object lacks a function.
    """
    if not is_object_name(name):
        checks.require_choice("loss", name, (*LOSSES, OBJECT_FORM))
        return LOSSES[name]
    loss = load_object(name, "loss")
    missing = [side for side in SIDES if not callable(getattr(loss, side, None))]
    if missing:
        raise ValueError(
            f"Cannot use --loss={name}: it has no function"
            f" {' and no function '.join(missing)}. Name a"
            " tf_biggan.training.losses.AdversarialLoss or an object with the same two"
            " functions."
        )
    return loss
