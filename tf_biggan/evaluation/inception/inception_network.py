"""The Inception network of 2015-12-05, whose features and logits define FID and IS.

Source: the graph classify_image_graph_def.pb of inception-2015-12-05.tgz (Szegedy et al. 2015,
"Rethinking the Inception Architecture"); torch-fidelity feature_extractor_inceptionv3.py for the
pools and the outputs; OpenAI's improved-gan inception_score/model.py for logits without bias. Every
convolution is followed by a batch norm (epsilon 0.001) and a ReLU.

Four changes make this code faster on a CPU than the graph. They change features only by rounding:

- Batch norms are folded into the convolutions.
- The scaling of pixels is folded into the first convolution.
- 1x1 convolutions of the same tensor are computed as one convolution.
- If average pooling precedes a 1x1 convolution, the convolution is computed first, so that the
  pooling has fewer channels.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_biggan.checks import require, require_choice

INPUT_SIZE = 299
NUM_FEATURES = 2048
NUM_CLASSES = 1008
BATCH_NORM_EPSILON = 1e-3
CLASSIFIER = "fc"

# Outputs from the shallowest to the deepest: means over positions, then logits.
TAPS = ("64", "192", "768", "2048", "logits_unbiased", "logits")
# Kernel [height, width, in, out] and bias [out] of every convolution, with batch norm folded in.
FoldedWeights = Mapping[str, tuple[np.ndarray, np.ndarray]]


class Conv(typing.NamedTuple):
    """A convolution with its name in PyTorch ports and its scope in the graph of 2015."""

    name: str
    scope: str
    filters: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


class Pool(typing.NamedTuple):
    """Pooling over 3x3 positions; average pooling ignores positions outside the image."""

    kind: str
    stride: int = 1
    padding: str = "SAME"


class Mixed(typing.NamedTuple):
    """Branches that read the same input and are concatenated along the channels."""

    branches: tuple[tuple, ...]


class Tap(typing.NamedTuple):
    """Marks a feature map, whose mean over all positions can be requested as an output."""

    name: str


def _sequence(name: str, scope: str, *rows: tuple) -> tuple[Conv, ...]:
    """Returns the convolutions NAME_1, NAME_2, ... of one branch.

    Args:
      name: name of the branch in PyTorch ports.
      scope: scope of the branch in the graph of 2015.
      *rows: arguments of `Conv` from `filters` on, one row per convolution.
    """
    scopes = [f"{scope}/conv"] + [f"{scope}/conv_{i}" for i in range(1, len(rows))]
    return tuple(Conv(f"{name}_{i}", scopes[i - 1], *row) for i, row in enumerate(rows, start=1))


def _fork(name: str, scope: str, filters: int) -> Mixed:
    return Mixed(
        (
            (Conv(f"{name}a", f"{scope}/mixed/conv", filters, (1, 3)),),
            (Conv(f"{name}b", f"{scope}/mixed/conv_1", filters, (3, 1)),),
        )
    )


def _mixed_35(name: str, scope: str, pool_filters: int) -> Mixed:
    return Mixed(
        (
            (Conv(f"{name}.branch1x1", f"{scope}/conv", 64),),
            _sequence(f"{name}.branch5x5", f"{scope}/tower", (48,), (64, (5, 5))),
            _sequence(
                f"{name}.branch3x3dbl", f"{scope}/tower_1", (64,), (96, (3, 3)), (96, (3, 3))
            ),
            (
                Pool("average"),
                Conv(f"{name}.branch_pool", f"{scope}/tower_2/conv", pool_filters),
            ),
        )
    )


def _mixed_17(name: str, scope: str, width: int) -> Mixed:
    return Mixed(
        (
            (Conv(f"{name}.branch1x1", f"{scope}/conv", 192),),
            _sequence(
                f"{name}.branch7x7", f"{scope}/tower", (width,), (width, (1, 7)), (192, (7, 1))
            ),
            _sequence(
                f"{name}.branch7x7dbl",
                f"{scope}/tower_1",
                (width,),
                (width, (7, 1)),
                (width, (1, 7)),
                (width, (7, 1)),
                (192, (1, 7)),
            ),
            (Pool("average"), Conv(f"{name}.branch_pool", f"{scope}/tower_2/conv", 192)),
        )
    )


def _mixed_8(name: str, scope: str, pool: str) -> Mixed:
    return Mixed(
        (
            (Conv(f"{name}.branch1x1", f"{scope}/conv", 320),),
            (
                Conv(f"{name}.branch3x3_1", f"{scope}/tower/conv", 384),
                _fork(f"{name}.branch3x3_2", f"{scope}/tower", 384),
            ),
            (
                *_sequence(f"{name}.branch3x3dbl", f"{scope}/tower_1", (448,), (384, (3, 3))),
                _fork(f"{name}.branch3x3dbl_3", f"{scope}/tower_1", 384),
            ),
            (Pool(pool), Conv(f"{name}.branch_pool", f"{scope}/tower_2/conv", 192)),
        )
    )


NETWORK: tuple[Conv | Pool | Mixed | Tap, ...] = (
    Conv("Conv2d_1a_3x3", "conv", 32, (3, 3), 2, "VALID"),
    Conv("Conv2d_2a_3x3", "conv_1", 32, (3, 3), 1, "VALID"),
    Conv("Conv2d_2b_3x3", "conv_2", 64, (3, 3)),
    Pool("max", 2, "VALID"),
    Tap("64"),
    Conv("Conv2d_3b_1x1", "conv_3", 80, (1, 1), 1, "VALID"),
    Conv("Conv2d_4a_3x3", "conv_4", 192, (3, 3), 1, "VALID"),
    Pool("max", 2, "VALID"),
    Tap("192"),
    _mixed_35("Mixed_5b", "mixed", pool_filters=32),
    _mixed_35("Mixed_5c", "mixed_1", pool_filters=64),
    _mixed_35("Mixed_5d", "mixed_2", pool_filters=64),
    Mixed(
        (
            (Conv("Mixed_6a.branch3x3", "mixed_3/conv", 384, (3, 3), 2, "VALID"),),
            _sequence(
                "Mixed_6a.branch3x3dbl",
                "mixed_3/tower",
                (64,),
                (96, (3, 3)),
                (96, (3, 3), 2, "VALID"),
            ),
            (Pool("max", 2, "VALID"),),
        )
    ),
    _mixed_17("Mixed_6b", "mixed_4", width=128),
    _mixed_17("Mixed_6c", "mixed_5", width=160),
    _mixed_17("Mixed_6d", "mixed_6", width=160),
    _mixed_17("Mixed_6e", "mixed_7", width=192),
    Tap("768"),
    Mixed(
        (
            _sequence("Mixed_7a.branch3x3", "mixed_8/tower", (192,), (320, (3, 3), 2, "VALID")),
            _sequence(
                "Mixed_7a.branch7x7x3",
                "mixed_8/tower_1",
                (192,),
                (192, (1, 7)),
                (192, (7, 1)),
                (192, (3, 3), 2, "VALID"),
            ),
            (Pool("max", 2, "VALID"),),
        )
    ),
    _mixed_8("Mixed_7b", "mixed_9", pool="average"),
    # Max pooling here distinguishes this graph from later versions of Inception.
    _mixed_8("Mixed_7c", "mixed_10", pool="max"),
    Tap("2048"),
)


def convolutions() -> list[tuple[Conv, int]]:
    """Returns every convolution with its number of input channels, in the order of the table."""
    found: list[tuple[Conv, int]] = []
    channels = 3
    for unit in NETWORK:
        channels = _walk(unit, channels, found)
    return found


def _walk(unit, channels: int, found: list[tuple[Conv, int]]) -> int:
    """Returns the output channels of a unit and appends its convolutions to `found`."""
    if isinstance(unit, Conv):
        found.append((unit, channels))
        return unit.filters
    if isinstance(unit, Mixed):
        ends = []
        for branch in unit.branches:
            end = channels
            for part in branch:
                end = _walk(part, end, found)
            ends.append(end)
        return sum(ends)
    return channels


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
        # Variables are created here and not in the graph, so that every replica has its own copy.
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
        """Returns the features or logits [N, D] of each tap, by its name. Can be used in graphs.

        Args:
          images: [N, H, W, 3], from 0 to 255.
        """
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
        # The first convolution always uses float32: it costs little, and bfloat16 would lose most
        # of the pixels' precision.
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
    """Returns the name of the `Tap` in `NETWORK` from which an output is computed."""
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
