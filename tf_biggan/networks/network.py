"""The base class of both networks, and checks of their inputs.

The base class handles the constructor arguments, `get_config` and the residual blocks.
"""

from __future__ import annotations

import dataclasses
import inspect
import numbers
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.networks.architectures import BlockSpec, get_architecture
from tf_biggan.networks.blocks import SelfAttention
from tf_biggan.networks.layers.factory import LayerFactory
from tf_biggan.networks.layers.linear import child_seed, is_soft

MAX_IMAGE_CHANNELS = 4


class Network(keras.Model):
    """Base class of `Generator` and `Discriminator`.

    Every argument of a subclass's constructor becomes an attribute and an entry of `get_config`,
    both under the argument's name. An argument that is None takes its value from the architecture,
    if the architecture has a value for it. A new argument therefore needs only its place in the
    signature and a line of documentation.

    Args:
      given: The arguments of the subclass's constructor by name. `locals()` may be passed: entries
        that are not in the signature are ignored.
      **kwargs: Arguments of `keras.Model`, such as `dtype` and `name`.
    """

    # "generator" or "discriminator": the field of `Architecture` that describes this network.
    side: str

    def __init__(self, given: Mapping[str, object], **kwargs):
        super().__init__(autocast=False, **kwargs)
        for name, value in self.complete_arguments(given).items():
            setattr(self, name, value)
        self._check_shared_arguments()

    @classmethod
    def complete_arguments(cls, given: Mapping[str, object]) -> dict[str, object]:
        """Returns the value of every constructor argument, in the order of the signature.

        Args:
          given: Some of the arguments by name. A missing argument takes its default.

        Raises:
          ValueError: The architecture is unknown, or `attention_stages` or `bottom_size` is no list
            or tuple of integers.
        """
        values = {name: given.get(name, p.default) for name, p in _parameters(cls).items()}
        row = get_architecture(values["architecture"])
        published = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
        published["attention_stages"] = getattr(row, cls.side).attention
        published["output_bn_epsilon"] = values.get("bn_epsilon")
        for name, value in values.items():
            if value is None:
                values[name] = published.get(name)
        for name in ("attention_stages", "bottom_size"):
            values[name] = _integers(name, values[name])
        return {**values, "architecture": row}

    def get_config(self):
        arguments = {name: getattr(self, name) for name in _parameters(type(self))}
        arguments["architecture"] = dataclasses.asdict(self.architecture)
        return {**super().get_config(), **arguments}

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return self.architecture.image_size(self.bottom_size)

    def create_factory(self, **settings) -> LayerFactory:
        """Returns the factory of this network's layers, with a seed of its own.

        Args:
          **settings: Further fields of `LayerFactory`, which only one of the two networks sets.
        """
        return LayerFactory(
            spectral_norm=self.spectral_norm,
            sn_epsilon=self.sn_epsilon,
            initializer=self.initializer,
            seed=child_seed(self.seed, self.side),
            **settings,
        )

    def create_trunk(self, specs: Sequence[BlockSpec]) -> None:
        """Creates the residual blocks, and an attention layer for each block that has attention."""
        self.block_specs = specs
        self.blocks = tuple(self.create_block(index) for index in range(len(specs)))
        names = [f"attention_{index}" for index, spec in enumerate(specs) if spec.attention]
        self.attentions = tuple(
            SelfAttention(factory=self.factory.child(name), dtype=self.dtype_policy, name=name)
            for name in names
        )

    def create_block(self, index: int) -> keras.Layer:
        """Returns the residual block with this index; subclasses decide the kind of block."""
        raise NotImplementedError

    def block_settings(self, index: int) -> dict[str, object]:
        """Returns the arguments that every kind of residual block takes."""
        name = f"block_{index}"
        return dict(
            spec=self.block_specs[index],
            factory=self.factory.child(name),
            dtype=self.dtype_policy,
            name=name,
        )

    def blocks_with_attention(self) -> Iterator[tuple[keras.Layer, keras.Layer | None]]:
        """Yields (residual block, attention layer after it or None) for every block."""
        attentions = iter(self.attentions)
        for spec, block in zip(self.block_specs, self.blocks, strict=True):
            yield block, next(attentions) if spec.attention else None

    def build_trunk(self, shape: tuple, *condition_shape: tuple) -> tuple:
        """Builds blocks and attention layers for inputs of `shape`; returns the output shape."""
        for block, attention in self.blocks_with_attention():
            block.build(shape, *condition_shape)
            shape = block.compute_output_shape(shape)
            if attention is not None:
                attention.build(shape)
        return shape

    def _check_shared_arguments(self):
        checks.require_integer("num_classes", self.num_classes, 0)
        checks.require_integer("base_channels", self.base_channels, 1)
        checks.require_integer("depth", self.depth, 1)
        checks.require_integer("image_channels", self.image_channels, 1, MAX_IMAGE_CHANNELS)
        checks.require(
            len(self.bottom_size) == 2 and min(self.bottom_size) > 0,
            "`bottom_size` must be two positive integers (height, width)",
            bottom_size=self.bottom_size,
        )
        if self.seed is not None:
            checks.require_integer("seed", self.seed, 0)


def variables_by_path(network: keras.Model) -> dict[str, keras.Variable]:
    """Maps the path of each variable, relative to its network, to the variable.

    An example of a path is "block_0/conv_1/kernel".
    """
    prefix = f"{network.path}/"
    return {variable.path.removeprefix(prefix): variable for variable in network.variables}


def _parameters(cls) -> dict[str, inspect.Parameter]:
    """Returns the parameters of a network's constructor, without `self` and `**kwargs`."""
    parameters = inspect.signature(cls.__init__).parameters
    return {
        name: parameter
        for name, parameter in parameters.items()
        if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    }


def _integers(name: str, values) -> tuple[int, ...]:
    is_sequence = isinstance(values, (tuple, list))
    integral = is_sequence and all(isinstance(value, numbers.Integral) for value in values)
    checks.require(integral, f"`{name}` must be a list or tuple of integers", **{name: values})
    return tuple(int(value) for value in values)


def from_list(name: str, value):
    """Returns a list or tuple of numbers, possibly nested, as an int32 or float32 array.

    Any other value is returned unchanged.

    Raises:
      ValueError: The rows differ in length, or an entry is not a number.
    """
    if not isinstance(value, (list, tuple)):
        return value
    try:
        array = np.asarray(value)
    # NumPy raises these errors for rows of different lengths and for symbolic tensors.
    except (TypeError, ValueError, NotImplementedError):
        array = np.asarray(None)
    checks.require(
        array.dtype.kind in "iuf" and array.size > 0,
        f"`{name}` must hold numbers, and all rows of a list must have the same length",
        **{name: value},
    )
    return array.astype("float32" if array.dtype.kind == "f" else "int32")


def concrete(value):
    """Returns `value` as a NumPy array, or None if it is symbolic (inside a graph)."""
    if isinstance(value, (numbers.Number, np.ndarray)):
        return np.asarray(value)
    return value.numpy() if hasattr(value, "numpy") else None


def check_float(name: str, array, shape: tuple[int, ...], batch_size=None) -> None:
    """Checks that an input has a floating-point dtype and the shape [N, *shape].

    Args:
      name: The name of the input in the message.
      array: A tensor or array.
      shape: The shape of one example.
      batch_size: The number of rows that the input must have; None for any number.

    Raises:
      ValueError: The dtype, the shape or the number of rows is wrong.
    """
    wanted = ", ".join(map(str, ("N", *shape)))
    dtype = keras.backend.standardize_dtype(array.dtype)
    checks.require(
        "float" in dtype and len(array.shape) == 1 + len(shape) and array.shape[1:] == shape,
        f"`{name}` must have the shape [{wanted}] and a floating-point type",
        shape=tuple(array.shape),
        dtype=dtype,
    )
    checks.require(
        None in (array.shape[0], batch_size) or array.shape[0] == batch_size,
        f"`{name}` must have one row for each example of the batch",
        rows=array.shape[0],
        examples=batch_size,
    )


def check_truncation(truncation, batch_size) -> None:
    """Checks that a truncation is None, a scalar or [N], with values in (0, 1].

    Values are checked only in eager execution.

    Raises:
      ValueError: The shape or a value is wrong.
    """
    if truncation is None:
        return
    shape = tuple(getattr(truncation, "shape", ()))
    checks.require(
        shape == ()
        or (len(shape) == 1 and (None in (*shape, batch_size) or shape[0] == batch_size)),
        "`truncation` must be a scalar or hold one value for each example of the batch",
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
    """Checks labels against the number of classes and the batch size of a network.

    Args:
      labels: None, class indices [N] (integer) or class weights [N, num_classes] (float).
      num_classes: The network's classes; 0 for an unconditional network, which takes no labels.
      batch_size: N, or None if it is unknown.

    Raises:
      ValueError: Labels are missing or not allowed, or their shape or number is wrong. In eager
        execution, class indices out of range are an error as well. Inside a graph the values are
        unknown: an index out of range selects another class or fails, depending on the device.
    """
    if labels is None or num_classes == 0:
        rule = (
            "this network is unconditional (num_classes is 0), so `labels` must be None"
            if num_classes == 0
            else (
                "this network needs `labels`: class indices [N] or class weights [N,"
                f" {num_classes}]"
            )
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
        "`labels` must have one row for each example of the batch",
        labels=shape[0],
        examples=batch_size,
    )
    values = None if is_soft(labels) else concrete(labels)
    checks.require(
        values is None or values.size == 0 or (values.min() >= 0 and values.max() < num_classes),
        f"class indices must be from 0 to {num_classes - 1}",
        labels=values,
    )
