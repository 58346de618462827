"""The Inception of 2015-12-05: features and logits of images, as the scores of papers use them.

Source: see `inception_architecture`; OpenAI's improved-gan inception_score/model.py for logits
without their bias.

For speed on a CPU, batch norms are folded into the convolutions, the scaling of the pixels into
the first of them, 1x1 convolutions that read the same tensor are one convolution, and an average
comes after the 1x1 convolution that it stands before, on fewer channels: sums change their order,
and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_biggan.checks import require, require_choice
from tf_biggan.evaluation.inception_architecture import (
    CLASSIFIER,
    INPUT_SIZE,
    NETWORK,
    TAPS,
    Conv,
    Mixed,
    Pool,
    Tap,
    convolutions,
)

# A convolution and its bias [out], batch norm included; a kernel is [height, width, in, out].
FoldedWeights = Mapping[str, tuple[np.ndarray, np.ndarray]]


class Inception:
    """Taps of the network for images of any size.

    Args:
      weights: kernel and bias of every convolution and of the classifier, by their names.
      taps: which of `TAPS` are asked for; nothing beyond them is computed.
      sha256: of the file that the weights came from.
      is_reference: whether they are known to be those of 2015. Scores of others are not FID or IS.

    Raises:
      ValueError: a tap is unknown, or a weight is missing or of a wrong shape.
    """

    def __init__(
        self,
        weights: FoldedWeights,
        taps: Sequence[str] = ("2048",),
        *,
        sha256: str = "",
        is_reference: bool = False,
    ):
        require(len(taps) > 0, "at least one tap must be asked for", taps=taps)
        for tap in taps:
            require_choice("tap", tap, TAPS)
        _check_shapes(weights)
        self.taps = tuple(taps)
        self.sha256 = sha256
        self.is_reference = is_reference
        self._weights = _with_pixel_scaling(weights)
        image = tf.TensorSpec([None, None, None, 3], tf.uint8)
        self._features = tf.function(self.outputs, input_signature=[image])

    def features(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """float32 arrays [N, D] by tap, for uint8 images [N, H, W, 3].

        Raises:
          ValueError: `images` are of another type or shape.
        """
        require(
            images.dtype == np.uint8 and images.ndim == 4 and images.shape[-1] == 3,
            "images must be uint8 of shape [N, H, W, 3]",
            dtype=str(images.dtype),
            shape=images.shape,
        )
        return {tap: value.numpy() for tap, value in self._features(images).items()}

    def outputs(self, images) -> dict[str, tf.Tensor]:
        """Tensors [N, D] by tap, for images [N, H, W, 3] from 0 to 255; for use inside a graph."""
        found = {}
        left = {_place(tap) for tap in self.taps}
        tensor = resize(images)
        for unit in NETWORK:
            if isinstance(unit, Tap) and unit.name in left:
                found[unit.name] = tf.reduce_mean(tensor, axis=(1, 2))
                left.remove(unit.name)
            if not left:
                break
            tensor = self._unit(unit, tensor)
        return {tap: self._tap(tap, found) for tap in self.taps}

    def _tap(self, tap, found):
        if tap in found:
            return found[tap]
        kernel, bias = self._weights[CLASSIFIER]
        logits = tf.matmul(found["2048"], kernel)
        return logits + bias if tap == "logits" else logits

    def _unit(self, unit, tensor):
        if isinstance(unit, Conv):
            return tf.nn.relu(self._linear([unit], tensor))
        if isinstance(unit, Pool):
            return _pool(unit, tensor)
        if isinstance(unit, Mixed):
            return self._mixed(unit, tensor)
        return tensor

    def _mixed(self, mixed, tensor):
        heads = [branch[0] for branch in mixed.branches if _is_pointwise(branch[0])]
        first = dict(zip(heads, self._merged(heads, tensor), strict=True)) if heads else {}
        ends = []
        for branch in mixed.branches:
            if branch[0] in first:
                end, rest = first[branch[0]], branch[1:]
            elif isinstance(branch[0], Pool) and branch[0].kind == "average":
                end, rest = self._averaged(branch[0], branch[1], tensor), branch[2:]
            else:
                end, rest = tensor, branch
            for unit in rest:
                end = self._unit(unit, end)
            ends.append(end)
        return tf.concat(ends, axis=-1)

    def _merged(self, convs, tensor):
        """Outputs of 1x1 convolutions that read the same tensor."""
        together = tf.nn.relu(self._linear(convs, tensor))
        return tf.split(together, [conv.filters for conv in convs], axis=-1)

    def _averaged(self, pool, conv, tensor):
        """The 1x1 convolution of an average, as an average of the convolution."""
        return tf.nn.relu(_pool(pool, self._linear([conv], tensor)))

    def _linear(self, convs, tensor):
        kernels, biases = zip(*(self._weights[conv.name] for conv in convs), strict=True)
        kernel, bias = np.concatenate(kernels, axis=-1), np.concatenate(biases)
        made = tf.nn.conv2d(tensor, kernel, convs[0].stride, convs[0].padding)
        return tf.nn.bias_add(made, bias)


def resize(images) -> tf.Tensor:
    """float32 [N, 299, 299, 3] in the range of `images`, bilinear as TensorFlow 1 did it.

    Output pixel i lies at i * in / out: the centres of pixels do not fall on one another.
    """
    return tf.raw_ops.ResizeBilinear(
        images=images, size=[INPUT_SIZE, INPUT_SIZE], align_corners=False, half_pixel_centers=False
    )


def _place(tap: str) -> str:
    """The tap whose features a tap is computed from."""
    return "2048" if tap.startswith("logits") else tap


def _is_pointwise(unit) -> bool:
    return isinstance(unit, Conv) and unit.kernel == (1, 1)


def _pool(pool: Pool, tensor):
    kind = {"max": tf.nn.max_pool2d, "average": tf.nn.avg_pool2d}[pool.kind]
    return kind(tensor, 3, pool.stride, pool.padding)


def _with_pixel_scaling(weights: FoldedWeights) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weights whose first convolution takes x in place of (x - 128) / 128."""
    first = NETWORK[0].name
    kernel, bias = (np.asarray(part, np.float64) for part in weights[first])
    scaled = kernel / 128, bias - kernel.sum(axis=(0, 1, 2))
    return {**weights, first: tuple(part.astype(np.float32) for part in scaled)}


def _check_shapes(weights: FoldedWeights) -> None:
    raise NotImplementedError
