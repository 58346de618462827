"""Adversarial losses and regularisers: orthogonal, R1, LeCam, consistency, clamped singular values.

Every discriminator loss takes logits [N] of real and of generated images and returns two losses
([N], [N]). Every generator loss takes the logits [N] of generated images and returns [N]. The
caller divides by the size of the global batch.

Kernel matrices are [inputs, outputs], as `KernelLayer.kernel_matrix` returns them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
from keras import ops

from tf_biggan import checks
from tf_biggan.cli.settings import OBJECT_FORM, is_object_name, load_object
from tf_biggan.networks.layers.linear import KernelLayer
from tf_biggan.networks.layers.spectral_norm import power_iteration


def hinge_discriminator(real_logits, fake_logits):
    """Returns relu(1 - D(x)) and relu(1 + D(G(z))).

    Source: paper, section 2; BigGAN-PyTorch, losses.py.
    """
    return ops.relu(1.0 - real_logits), ops.relu(1.0 + fake_logits)


def hinge_generator(fake_logits):
    """Returns -D(G(z))."""
    return -fake_logits


def nonsaturating_discriminator(real_logits, fake_logits):
    """Returns softplus(-D(x)) and softplus(D(G(z))). Source: Goodfellow et al., 2014."""
    return ops.softplus(-real_logits), ops.softplus(fake_logits)


def nonsaturating_generator(fake_logits):
    """Returns softplus(-D(G(z)))."""
    return ops.softplus(-fake_logits)


def wasserstein_discriminator(real_logits, fake_logits):
    """Returns -D(x) and D(G(z)). Spectral norm bounds the Lipschitz constant of D.

    Source: Arjovsky et al., 2017.
    """
    return -real_logits, fake_logits


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """An adversarial loss: one function for the discriminator and one for the generator.

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
      ValueError: There is no loss with this name, or the object lacks one of the two functions.
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


def kernel_matrices(model: keras.Model, exclude: tuple = ()) -> list:
    """Returns the raw kernels of a network as matrices, for the orthogonal penalties.

    Args:
      model: A generator or a discriminator.
      exclude: Layers to leave out. The papers leave out the generator's shared class embedding.
    """
    excluded = {id(layer) for layer in exclude}
    layers = model._flatten_layers(include_self=False, recursive=True)
    return [
        layer.kernel_matrix()
        for layer in layers
        if isinstance(layer, KernelLayer) and id(layer) not in excluded
    ]


def orthogonal_penalty(matrix):
    """Returns ||W^T W * (1 - I)||_F^2. This penalty does not constrain the norms of the columns.

    Source: paper, equation 3. With `--G_ortho s`, BigGAN-PyTorch adds s * 2 (W W^T * (1 - I)) W to
    the gradient, where W is the transpose of the matrix here. This is the gradient of 0.5 * s *
    `orthogonal_penalty`.
    """
    gram = ops.matmul(ops.transpose(matrix), matrix)
    return ops.sum(ops.square(gram * (1.0 - _identity_like(gram))))


def original_orthogonal_penalty(matrix):
    """Returns ||W^T W - I||_F^2. Source: paper, equation 2; Brock et al., 2017."""
    gram = ops.matmul(ops.transpose(matrix), matrix)
    return ops.sum(ops.square(gram - _identity_like(gram)))


# Penalties by the values of the flags --g_orthogonal_form and --d_orthogonal_form.
ORTHOGONAL_PENALTIES = {
    "relaxed": orthogonal_penalty,
    "original": original_orthogonal_penalty,
}


def r1_penalty(image_gradients):
    """Returns half the squared norm of each example's gradient dD(x)/dx: [N, H, W, C] to [N].

    The R1 penalty is gamma times the mean of these values. Source: Mescheder et al., 2018; paper,
    section 4.2.
    """
    return 0.5 * ops.sum(ops.square(image_gradients), axis=(1, 2, 3))


def lecam_penalty(real_logits, fake_logits, real_average, fake_average):
    """Returns the LeCam penalty, a scalar: E[(D(x) - a_F)^2] + E[(D(G(z)) - a_R)^2].

    Source: Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data", CVPR
    2021.

    Args:
      real_logits, fake_logits: Logits of real and of generated images, [N] each.
      real_average, fake_average: Moving averages a_R and a_F of these logits, scalars.
    """
    real = ops.mean(ops.square(real_logits - fake_average))
    return real + ops.mean(ops.square(fake_logits - real_average))


def consistency_penalty(first, second):
    """Returns the mean squared difference of two tensors of the same shape, a scalar.

    For logits, this is the discriminator's penalty in balanced and in latent consistency
    regularisation (bCR and zCR). For images, its negative is the generator's penalty in zCR. The
    mean is taken over all pixel values, as in PyTorch-StudioGAN.

    Source: Zhao et al., "Improved Consistency Regularization for GANs", AAAI 2021.
    """
    return ops.mean(ops.square(first - second))


def clamp_first_singular_value(matrix, u, sigma_clamp, epsilon: float = 1e-8):
    """Returns W with its largest singular value sigma_0 lowered to at most `sigma_clamp`.

    The result is W - max(0, sigma_0 - sigma_clamp) v_0^T u_0. One step of power iteration from `u`
    estimates sigma_0 and its singular vectors v_0 and u_0, which are row vectors.

    Source: paper, section 4.1.

    Args:
      matrix: W [inputs, outputs].
      u: Estimate of the first right singular vector [1, outputs].
      sigma_clamp: Largest allowed singular value.
      epsilon: See `power_iteration`.
    """
    sigma, u, v = power_iteration(matrix, u, epsilon)
    excess = ops.maximum(sigma - sigma_clamp, 0.0)
    return matrix - excess * ops.matmul(ops.transpose(v), u)


def second_singular_value(matrix, u, u_second, epsilon: float = 1e-8):
    """Estimates the second singular value of W with one step of power iteration.

    The step runs on W - sigma_0 v_0^T u_0. Its largest singular value is the second one of W.

    Args:
      matrix: W [inputs, outputs].
      u: Estimate of the first right singular vector [1, outputs].
      u_second: Estimate of the second right singular vector [1, outputs] from the previous call.
      epsilon: See `power_iteration`.

    Returns:
      (second singular value, new u_second [1, outputs]). No gradient flows through the value.
    """
    sigma, u, v = power_iteration(matrix, u, epsilon)
    deflated = matrix - sigma * ops.matmul(ops.transpose(v), u)
    sigma_second, u_second, _ = power_iteration(deflated, u_second, epsilon)
    return ops.stop_gradient(sigma_second), u_second


def _identity_like(gram):
    return ops.eye(gram.shape[0], dtype=gram.dtype)
