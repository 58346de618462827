"""Convolution, dense and embedding layers, to which `spectral_norm.py` adds spectral normalisation.

Every layer computes its output with the kernel that its method `effective_kernel` returns. In a
layer with spectral normalisation, this method returns kernel / sigma, and the layer has one more
variable, the vector u.

Every convolution has stride 1 and zero padding. It may be fused with upsampling before it or mean
pooling after it. On TensorFlow, `fused_convolutions` chooses how convolutions are computed on the
device. With other Keras backends, the functions of this module compute them.

A Keras initialiser that is used twice returns the same values for the same shape, so no two layers
share an initialiser. A composite layer derives the seed of each part from its own seed and the name
of the part.
"""

from __future__ import annotations

import zlib

import keras
from keras import ops

from tf_biggan import checks
from tf_biggan.networks.layers.seeded_values import initializer

FUSED_SIZE = 3
KERNEL_INITIALIZERS = ("ortho", "n02", "glorot")


class KernelLayer(keras.Layer):
    """Base class of the layers with one kernel and an optional bias.

    Args:
      use_bias: Whether a bias (initially 0) is added to the output.
      initializer: Initial kernel: "ortho", "n02" or "glorot"; see `kernel_initializer`.
      seed: Integer for reproducible initial values, None for random ones.
    """

    def __init__(self, use_bias=True, initializer="ortho", seed=None, **kwargs):
        super().__init__(**kwargs)
        self.use_bias = use_bias
        self.initializer = initializer
        self.seed = seed
        self.bias = None

    def add_kernel(self, shape, outputs):
        """Creates the kernel, and the bias if the layer has one.

        The kernel is never autocast, because sigma must be computed from its full precision.
        """
        self.kernel = self.add_weight(
            name="kernel",
            shape=shape,
            initializer=kernel_initializer(self.initializer, child_seed(self.seed, "kernel")),
            autocast=False,
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(outputs,), initializer="zeros")

    @staticmethod
    def as_matrix(kernel):
        """Returns a kernel of this layer as a matrix [inputs, outputs]."""
        return ops.reshape(kernel, (-1, kernel.shape[-1]))

    def kernel_matrix(self):
        """Returns the raw kernel as a matrix [inputs, outputs]."""
        return self.as_matrix(ops.convert_to_tensor(self.kernel))

    def effective_kernel(self, training):
        """Returns the kernel of the forward pass; without spectral norm, it is the raw kernel."""
        return self.kernel

    def compute_kernel(self, training):
        """Returns the effective kernel in the compute dtype."""
        return ops.cast(self.effective_kernel(training), self.compute_dtype)

    def add_bias(self, outputs):
        """Returns `outputs` plus the bias, if the layer has one."""
        return outputs if self.bias is None else ops.add(outputs, self.bias)

    def get_config(self):
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "initializer": self.initializer,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="tf_biggan")
class Conv2D(KernelLayer):
    """Convolution with stride 1 and zero padding: [N, H, W, C] to [N, H, W, F].

    Args:
      filters: Number of output channels F.
      kernel_size: Height and width of the kernel.
      **kwargs: Arguments of `KernelLayer` and of `keras.Layer`.
    """

    def __init__(self, filters, kernel_size, **kwargs):
        super().__init__(**kwargs)
        checks.require_integer("filters", filters, 1)
        checks.require_integer("kernel_size", kernel_size, 1)
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, input_shape):
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        self.add_kernel(shape, self.filters)

    def call(self, inputs, training=False):
        return self.add_bias(self.convolve(inputs, self.effective_kernel(training)))

    def convolve(self, inputs, kernel):
        """Returns the output without the bias. `kernel` is cast to the dtype of the inputs."""
        return convolution(inputs, kernel)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)


@keras.saving.register_keras_serializable(package="tf_biggan")
class UpsampledConv2D(Conv2D):
    """`Conv2D` after nearest-neighbour upsampling: [N, H, W, C] to [N, 2H, 2W, F]."""

    def convolve(self, inputs, kernel):
        return upsampled_convolution(inputs, kernel)

    def compute_output_shape(self, input_shape):
        height, width = (None if side is None else 2 * side for side in input_shape[1:3])
        return (input_shape[0], height, width, self.filters)


@keras.saving.register_keras_serializable(package="tf_biggan")
class PooledConv2D(Conv2D):
    """`Conv2D` followed by the mean of 2x2 pixels: [N, H, W, C] to [N, H/2, W/2, F]."""

    def convolve(self, inputs, kernel):
        return pooled_convolution(inputs, kernel)

    def compute_output_shape(self, input_shape):
        height, width = (None if side is None else side // 2 for side in input_shape[1:3])
        return (input_shape[0], height, width, self.filters)


@keras.saving.register_keras_serializable(package="tf_biggan")
class Dense(KernelLayer):
    """Dense layer: [N, C] to [N, units].

    Args:
      units: Size of the output.
      **kwargs: Arguments of `KernelLayer` and of `keras.Layer`.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        checks.require_integer("units", units, 1)
        self.units = units

    def build(self, input_shape):
        self.add_kernel((input_shape[-1], self.units), self.units)

    def call(self, inputs, training=False):
        return self.add_bias(ops.matmul(inputs, self.compute_kernel(training)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)


@keras.saving.register_keras_serializable(package="tf_biggan")
class Embedding(KernelLayer):
    """Maps labels to rows [N, dim] of a table with one row for each class.

    Labels that are class indices [N] (integer) select rows. Labels that are class weights
    [N, classes] (float) give the weighted sum of all rows.

    Args:
      num_classes: Number of rows.
      dim: Size of a row.
      **kwargs: `initializer`, `seed` and arguments of `keras.Layer`.
    """

    def __init__(self, num_classes, dim, **kwargs):
        super().__init__(**{**kwargs, "use_bias": False})
        checks.require_integer("num_classes", num_classes, 1)
        checks.require_integer("dim", dim, 1)
        self.num_classes = num_classes
        self.dim = dim

    def build(self, labels_shape=None):
        self.add_kernel((self.num_classes, self.dim), self.num_classes)

    @staticmethod
    def as_matrix(kernel):
        """Returns a table as a matrix [dim, classes]; classes are outputs, as in BigGAN-PyTorch."""
        return ops.transpose(kernel)

    def call(self, labels, training=False):
        table = self.compute_kernel(training)
        if is_soft(labels):
            return ops.matmul(labels, table)
        # The product makes the gradient dense. With a sparse gradient, Keras's Adam would take two
        # steps for a class that occurs twice in a batch.
        return ops.take(1.0 * table, labels, axis=0)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes, "dim": self.dim}

    def compute_output_shape(self, labels_shape):
        return (labels_shape[0], self.dim)


def is_soft(labels) -> bool:
    """Returns True for class weights [N, classes] (float), False for class indices [N]."""
    return "float" in keras.backend.standardize_dtype(labels.dtype)


def upsample(x):
    """Doubles height and width by nearest neighbour: [N, H, W, C] to [N, 2H, 2W, C]."""
    return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)


def downsample(x):
    """Halves height and width by the mean of 2x2 pixels: [N, H, W, C] to [N, H/2, W/2, C]."""
    return ops.average_pool(x, 2, 2, data_format="channels_last")


def convolution(x, kernel):
    """Convolves x [N, H, W, C] with a kernel [k, k, C, F]: [N, H, W, F] in the dtype of x."""
    if _has_tensorflow() and kernel.shape[0] % 2 == 1:
        return _fused().convolution(x, kernel)
    return ops.conv(x, ops.cast(kernel, x.dtype), padding="same", data_format="channels_last")


def upsampled_convolution(x, kernel):
    """Upsamples x, then convolves it: [N, H, W, C] to [N, 2H, 2W, F]."""
    if _has_tensorflow() and kernel.shape[0] == FUSED_SIZE:
        return _fused().upsampled_convolution(x, kernel)
    return convolution(upsample(x), kernel)


def pooled_convolution(x, kernel):
    """Convolves x, then downsamples it: [N, H, W, C] to [N, H/2, W/2, F]."""
    if _has_tensorflow() and kernel.shape[0] == FUSED_SIZE:
        return _fused().pooled_convolution(x, kernel)
    return downsample(convolution(x, kernel))


def on_cpu() -> bool:
    """Returns whether the Keras backend is TensorFlow and its graphs are built for a CPU."""
    return _has_tensorflow() and _fused().device_kind() == "CPU"


def _has_tensorflow():
    return keras.backend.backend() == "tensorflow"


def _fused():
    from tf_biggan.networks.layers import fused_convolutions

    return fused_convolutions


def kernel_initializer(name: str, seed: int | None) -> keras.Initializer:
    """Returns a new initialiser of kernels.

    "ortho" is orthogonal with gain 1, "n02" is N(0, 0.02) and "glorot" is Glorot's uniform.

    Source: BigGAN-PyTorch, BigGAN.py `init_weights`.

    Raises:
      ValueError: The name is none of these.
    """
    checks.require_choice("initializer", name, KERNEL_INITIALIZERS)
    return initializer(name, seed)


def power_iteration_initializer(seed: int | None) -> keras.Initializer:
    """Returns a new N(0, 1) initialiser for the vector u of spectral normalisation."""
    return initializer("normal", seed)


def child_seed(seed: int | None, name: str) -> int | None:
    """Returns a seed for the part or variable `name` of a layer, derived from the layer's `seed`.

    If `seed` is None (random values), the result is None too.
    """
    return None if seed is None else zlib.crc32(f"{seed}/{name}".encode())


def wide_dtype(layer: keras.Layer) -> str:
    """Returns the dtype for moments, singular vectors, attention weights and logits of a layer.

    It is "float64" if the layer's variables are float64, and "float32" otherwise.
    """
    return "float64" if layer.variable_dtype == "float64" else "float32"
