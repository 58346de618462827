"""The Inception network of 2015-12-05, which gives the features and logits of published scores.

Source: see `architecture`; OpenAI's improved-gan inception_score/model.py for logits without bias.

Four changes make it faster on a CPU and only change the order of summation: batch norms are folded
into the convolutions, the scaling of pixels is folded into the first convolution, 1x1 convolutions
of the same tensor are computed as one, and average pooling before a 1x1 convolution is computed
after it, on fewer channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_biggan.checks import require, require_choice
from tf_biggan.evaluation.inception.architecture import (
    CLASSIFIER,
    INPUT_SIZE,
    NETWORK,
    NUM_CLASSES,
    NUM_FEATURES,
    TAPS,
    Conv,
    Mixed,
    Pool,
    Tap,
    convolutions,
)

# Kernel [height, width, in, out] and bias [out] of every convolution, with batch norm folded in.
FoldedWeights = Mapping[str, tuple[np.ndarray, np.ndarray]]


class Inception:
    """Inception with the requested outputs, called taps, for images of any size.

    Args:
      weights: kernel and bias of every convolution and of the classifier, by name.
      taps: requested outputs, names in `TAPS`; layers that they do not need are left out.
      dtype: precision of the convolutions: "float32", or "bfloat16", which is faster on processors
        that support it and changes features by about 0.4 %.
      sha256: SHA-256 of the file of the weights.
      is_reference: whether the weights are known to be those of 2015. Scores with other weights
        are not called FID or IS.

    Raises:
      ValueError: a tap is unknown, or a weight is missing or of a wrong shape.
    """

    def __init__(
        self,
        weights: FoldedWeights,
        taps: Sequence[str] = ("2048",),
        *,
        dtype: str = "float32",
        sha256: str = "",
        is_reference: bool = False,
    ):
        require(len(taps) > 0, "`taps` must name at least one output", taps=taps)
        for tap in taps:
            require_choice("tap", tap, TAPS)
        _check_shapes(weights)
        self.taps = tuple(taps)
        self._dtype = tf.as_dtype(dtype)
        self.sha256 = sha256
        self.is_reference = is_reference
        places = {_place(tap) for tap in taps}
        deepest = max(
            i for i, unit in enumerate(NETWORK) if isinstance(unit, Tap) and unit.name in places
        )
        self._units = NETWORK[: deepest + 1]
        # Created here and not in the graph, so that every replica of a strategy has its own.
        self._variables = _variables(self._units, _with_pixel_scaling(weights))
        self._classifier = [tf.Variable(part, trainable=False) for part in weights[CLASSIFIER]]
        image = tf.TensorSpec([None, None, None, 3], tf.uint8)
        self._features = tf.function(self.outputs, input_signature=[image])

    def features(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns float32 arrays [N, D] by tap for uint8 images [N, H, W, 3].

        Raises:
          ValueError: the images have another type or shape.
        """
        require(
            images.dtype == np.uint8 and images.ndim == 4 and images.shape[-1] == 3,
            "images must be uint8 of shape [N, H, W, 3]",
            dtype=str(images.dtype),
            shape=images.shape,
        )
        return {tap: value.numpy() for tap, value in self._features(images).items()}

    @property
    def graph(self) -> tf.Graph:
        """The TensorFlow graph that `features` runs."""
        return self._features.get_concrete_function().graph

    def outputs(self, images) -> dict[str, tf.Tensor]:
        """Returns tensors [N, D] by tap for images [N, H, W, 3] from 0 to 255, inside a graph."""
        found = {}
        tensor = resize(images)
        for unit in self._units:
            if isinstance(unit, Tap):
                found[unit.name] = tf.reduce_mean(tf.cast(tensor, tf.float32), axis=(1, 2))
            else:
                tensor = self._unit(unit, tensor)
        if "2048" in found:
            kernel, bias = self._classifier
            found["logits_unbiased"] = tf.matmul(found["2048"], kernel)
            found["logits"] = found["logits_unbiased"] + bias
        return {tap: found[tap] for tap in self.taps}

    def _unit(self, unit, tensor):
        if isinstance(unit, Conv):
            return tf.nn.relu(self._linear((unit,), tensor))
        if isinstance(unit, Pool):
            return _pool(unit, tensor)
        return self._mixed(unit, tensor)

    def _mixed(self, mixed, tensor):
        heads = _heads(mixed)
        merged = tf.nn.relu(self._linear(heads, tensor)) if heads else None
        widths = [conv.filters for conv in heads]
        first = dict(zip(heads, tf.split(merged, widths, axis=-1), strict=True)) if heads else {}
        ends = []
        for branch in mixed.branches:
            if branch[0] in first:
                end, rest = first[branch[0]], branch[1:]
            elif isinstance(branch[0], Pool) and branch[0].kind == "average":
                averaged = _pool(branch[0], self._linear(branch[1:2], tensor))
                end, rest = tf.nn.relu(averaged), branch[2:]
            else:
                end, rest = tensor, branch
            for unit in rest:
                end = self._unit(unit, end)
            ends.append(end)
        return tf.concat(ends, axis=-1)

    def _linear(self, convs, tensor):
        # The first convolution costs little, and bfloat16 would lose most of the pixels' precision.
        dtype = tf.float32 if convs == NETWORK[:1] else self._dtype
        kernel, bias = (tf.cast(part, dtype) for part in self._variables[convs])
        tensor = tf.cast(tensor, dtype)
        made = tf.nn.conv2d(tensor, kernel, convs[0].stride, convs[0].padding)
        return tf.nn.bias_add(made, bias)


def resize(images) -> tf.Tensor:
    """Resizes images bilinearly to float32 [N, 299, 299, 3], as TensorFlow 1 did.

    Output pixel i is sampled at input position i * in / out, without aligning pixel centres.
    """
    return tf.raw_ops.ResizeBilinear(
        images=images, size=[INPUT_SIZE, INPUT_SIZE], align_corners=False, half_pixel_centers=False
    )


def _place(tap: str) -> str:
    """Returns the tap at whose place in the network another tap is computed."""
    return "2048" if tap.startswith("logits") else tap


def _heads(mixed: Mixed) -> tuple[Conv, ...]:
    """Returns the 1x1 convolutions that read the input of a block directly."""
    firsts = (branch[0] for branch in mixed.branches)
    return tuple(unit for unit in firsts if isinstance(unit, Conv) and unit.kernel == (1, 1))


def _variables(units, weights: FoldedWeights) -> dict[tuple[Conv, ...], tuple]:
    """Creates kernel and bias of every group of convolutions that are computed as one."""
    return {
        convs: tuple(
            tf.Variable(np.concatenate(parts, axis=-1), trainable=False)
            for parts in zip(*(weights[conv.name] for conv in convs), strict=True)
        )
        for convs in _groups(units)
    }


def _groups(units) -> Iterator[tuple[Conv, ...]]:
    for unit in units:
        if isinstance(unit, Conv):
            yield (unit,)
        if isinstance(unit, Mixed):
            heads = _heads(unit)
            if heads:
                yield heads
            for branch in unit.branches:
                yield from _groups(part for part in branch if part not in heads)


def _pool(pool: Pool, tensor):
    kind = {"max": tf.nn.max_pool2d, "average": tf.nn.avg_pool2d}[pool.kind]
    return kind(tensor, 3, pool.stride, pool.padding)


def _with_pixel_scaling(weights: FoldedWeights) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Folds the scaling (x - 128) / 128 of pixels into the first convolution."""
    first = NETWORK[0].name
    kernel, bias = (np.asarray(part, np.float64) for part in weights[first])
    scaled = kernel / 128, bias - kernel.sum(axis=(0, 1, 2))
    return {**weights, first: tuple(part.astype(np.float32) for part in scaled)}


def _check_shapes(weights: FoldedWeights) -> None:
    shapes = {
        conv.name: (*conv.kernel, channels, conv.filters) for conv, channels in convolutions()
    }
    for name, shape in {**shapes, CLASSIFIER: (NUM_FEATURES, NUM_CLASSES)}.items():
        found = tuple(np.shape(part) for part in weights.get(name, ()))
        require(
            found == (shape, shape[-1:]),
            f"`weights[{name!r}]` must have the shapes {shape} and {shape[-1:]}",
            shapes=found,
        )
