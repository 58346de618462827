"""What both networks share: checks of arguments and inputs, the trunk, variables by path."""

from __future__ import annotations

import numbers
from collections.abc import Iterator

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.networks.layers.linear import is_soft

MAX_IMAGE_CHANNELS = 4


def integers(name: str, values) -> tuple[int, ...]:
    """`values` as a tuple.

    Raises:
      ValueError: it is no sequence of integers.
    """
    is_sequence = isinstance(values, (tuple, list))
    integral = is_sequence and all(isinstance(value, numbers.Integral) for value in values)
    checks.require(integral, f"`{name}` must be a sequence of integers", **{name: values})
    return tuple(int(value) for value in values)


def default(value, published):
    """`value`, or the published one where none is given."""
    return published if value is None else value


def check_shared_arguments(model) -> None:
    """Checks classes, widths, depth and image form of a network.

    Raises:
      ValueError: one of them is out of range.
    """
    checks.require_integer("num_classes", model.num_classes, 0)
    checks.require_integer("base_channels", model.base_channels, 1)
    checks.require_integer("depth", model.depth, 1)
    checks.require_integer("image_channels", model.image_channels, 1, MAX_IMAGE_CHANNELS)
    checks.require(
        len(model.bottom_size) == 2 and min(model.bottom_size) > 0,
        "`bottom_size` must be two positive integers (height, width)",
        bottom_size=model.bottom_size,
    )
    if model.seed is not None:
        checks.require_integer("seed", model.seed, 0)


def from_list(name: str, value):
    """A list or tuple of numbers, perhaps nested, as an array of int32 or float32.

    Everything else is returned as it is.

    Raises:
      ValueError: its rows differ in length, or it holds something else than numbers.
    """
    if not isinstance(value, (list, tuple)):
        return value
    try:
        array = np.asarray(value)
    except (
        TypeError,
        ValueError,
        NotImplementedError,
    ):  # rows of different lengths, symbolic tensors
        array = np.asarray(None)
    checks.require(
        array.dtype.kind in "iuf" and array.size > 0,
        f"`{name}` as a list must hold numbers, in rows of one length",
        **{name: value},
    )
    return array.astype("float32" if array.dtype.kind == "f" else "int32")


def concrete(value):
    """`value` as a NumPy array where it is known already (eager execution), else None."""
    if isinstance(value, (numbers.Number, np.ndarray)):
        return np.asarray(value)
    return value.numpy() if hasattr(value, "numpy") else None


def check_float(name: str, array, shape: tuple[int, ...], batch_size=None) -> None:
    """Checks that an input is floating-point and [N, *shape].

    Raises:
      ValueError: it is not, or N is not `batch_size` where both are known.
    """
    wanted = ", ".join(map(str, ("N", *shape)))
    dtype = keras.backend.standardize_dtype(array.dtype)
    checks.require(
        "float" in dtype and len(array.shape) == 1 + len(shape) and array.shape[1:] == shape,
        f"`{name}` must be [{wanted}] of a floating-point type",
        shape=tuple(array.shape),
        dtype=dtype,
    )
    checks.require(
        None in (array.shape[0], batch_size) or array.shape[0] == batch_size,
        f"there must be one row of `{name}` for every example",
        rows=array.shape[0],
        examples=batch_size,
    )


def check_truncation(truncation, batch_size) -> None:
    """Checks a truncation: None, a scalar or [N], each in (0, 1] where the value is known.

    Raises:
      ValueError: it is something else.
    """
    if truncation is None:
        return
    shape = tuple(getattr(truncation, "shape", ()))
    checks.require(
        shape == ()
        or (len(shape) == 1 and (None in (*shape, batch_size) or shape[0] == batch_size)),
        "`truncation` must be a scalar or one value for every example",
        shape=shape,
        examples=batch_size,
    )
    values = concrete(truncation)
    checks.require(
        values is None or bool(np.all((values > 0) & (values <= 1))),
        "`truncation` must be above 0 and at most 1",
        truncation=values,
    )


def check_labels(labels, num_classes: int, batch_size) -> None:
    """Checks labels against the classes of a network.

    Args:
      labels: None, class indices [N] (integer) or class weights [N, num_classes] (float).
      num_classes: 0 for an unconditional network, which takes no labels.
      batch_size: N, or None where it is not known.

    Raises:
      ValueError: labels missing or superfluous, of another rank, width or count; in eager
        execution also class indices out of range. Inside a graph values are not known: there an
        index out of range takes another class or fails, depending on the device.
    """
    if labels is None or num_classes == 0:
        rule = (
            "an unconditional network takes no `labels`"
            if num_classes == 0
            else (f"`labels` are needed: class indices [N] or class weights [N, {num_classes}]")
        )
        checks.require((labels is None) == (num_classes == 0), rule, labels=labels)
        return
    shape, dtype = tuple(labels.shape), keras.backend.standardize_dtype(labels.dtype)
    wanted = (None, num_classes) if is_soft(labels) else (None,)
    checks.require(
        len(shape) == len(wanted) and shape[1:] in (wanted[1:], (None,) * len(wanted[1:])),
        f"`labels` must be class indices [N] (integer) or class weights [N, {num_classes}] (float)",
        shape=shape,
        dtype=dtype,
    )
    checks.require(
        None in (shape[0], batch_size) or shape[0] == batch_size,
        "there must be one label for every example",
        labels=shape[0],
        examples=batch_size,
    )
    values = None if is_soft(labels) else concrete(labels)
    checks.require(
        values is None or values.size == 0 or (values.min() >= 0 and values.max() < num_classes),
        f"class indices must lie from 0 to {num_classes - 1}",
        labels=values,
    )


def with_attention(model) -> Iterator[tuple[keras.Layer, keras.Layer | None]]:
    """Every block of a network with the attention after it, or None."""
    attentions = iter(model.attentions)
    for spec, block in zip(model.block_specs, model.blocks, strict=True):
        yield block, next(attentions) if spec.attention else None


def build_trunk(model, shape: tuple, *condition_shape: tuple) -> tuple:
    """Builds blocks and attentions on inputs of `shape`; returns the shape that leaves them."""
    for block, attention in with_attention(model):
        block.build(shape, *condition_shape)
        shape = block.compute_output_shape(shape)
        if attention is not None:
            attention.build(shape)
    return shape


def variables_by_path(network: keras.Model) -> dict[str, keras.Variable]:
    """Every variable by its path below the network, such as "block_0/conv_1/kernel"."""
    prefix = f"{network.path}/"
    return {variable.path.removeprefix(prefix): variable for variable in network.variables}
