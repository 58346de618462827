"""Convolutions, which may be fused with upsampling before them or mean pooling after them.

`convolution`, `upsampled_convolution` and `pooled_convolution` can be computed in several forms,
which differ in speed but are mathematically equal. `FORMS` names the form of each forward pass,
input gradient and kernel gradient. `benchmarks/convolution_forms.py` measures every form of each
convolution in a training iteration, and marks a form that is faster than the form in `FORMS`.

Gradients are computed by functions of this module, too: the input gradient of a convolution is a
convolution with the flipped kernel, and nearest-neighbour upsampling is the adjoint of mean
pooling, up to a factor of 4. Gradients can therefore be differentiated again, which the R1 penalty
needs.

Kernels are given in float32 (or float64). Where a form adds up entries of a kernel, it does so
before it rounds the kernel to the dtype of the inputs.
"""

from __future__ import annotations

import tensorflow as tf

# For each kind of device, convolution and purpose: rows of (smallest side, form). The side of a
# convolution is the shorter side, in pixels, of its input or output map, whichever is smaller. A
# row fits if its smallest side is not above this side. The first row that fits names the form.
# The rows of the CPU were measured in float32 on two idle cores of an Intel Xeon with AVX-512. At
# side 16 they name "phases", although "transposed_4x4" is up to a tenth faster there: on a CPU with
# AVX2 alone, "transposed_4x4" takes twice the time. On an H200 only whole iterations were measured:
# at 32 px, they take 0.81 times as long with the forms of the GPU as with those of the TPU; see
# docs/speed.md. Nothing was measured on a TPU. There, upsampling, convolution and pooling are
# separate operations.
FORMS = {
    "CPU": {
        ("convolution", "forward"): ((1, "direct"),),
        ("convolution", "input_gradient"): ((1, "direct"),),
        ("convolution", "kernel_gradient"): ((1, "library"),),
        ("upsampled", "forward"): ((32, "transposed_4x4"), (8, "phases"), (1, "doubled")),
        ("upsampled", "input_gradient"): ((32, "transposed_4x4"), (8, "phases"), (1, "doubled")),
        ("upsampled", "kernel_gradient"): ((8, "strided_4x4"), (1, "doubled")),
        ("pooled", "forward"): ((1, "strided_4x4"),),
        ("pooled", "input_gradient"): ((4, "strided_4x4"), (1, "mean")),
    },
    "GPU": {
        ("convolution", "forward"): ((1, "direct"),),
        ("convolution", "input_gradient"): ((1, "transposed"),),
        ("convolution", "kernel_gradient"): ((1, "library"),),
        ("upsampled", "forward"): ((1, "transposed_4x4"),),
        ("upsampled", "input_gradient"): ((1, "transposed_4x4"),),
        ("upsampled", "kernel_gradient"): ((1, "strided_4x4"),),
        ("pooled", "forward"): ((1, "strided_4x4"),),
        ("pooled", "input_gradient"): ((1, "strided_4x4"),),
    },
    "TPU": {
        ("convolution", "forward"): ((1, "direct"),),
        ("convolution", "input_gradient"): ((1, "transposed"),),
        ("convolution", "kernel_gradient"): ((1, "library"),),
        ("upsampled", "forward"): ((1, "doubled"),),
        ("upsampled", "input_gradient"): ((1, "doubled"),),
        ("upsampled", "kernel_gradient"): ((1, "doubled"),),
        ("pooled", "forward"): ((1, "mean"),),
        ("pooled", "input_gradient"): ((1, "mean"),),
    },
}
# A phase of an upsampled map: its pixels in even (0) or odd (1) rows, and in even or odd columns.
PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))


def form_of(device: str, what: str, purpose: str, side: int) -> str:
    """Returns the name of the form in which a convolution is computed.

    Args:
      device: "CPU", "GPU" or "TPU".
      what: "convolution", "upsampled" or "pooled".
      purpose: "forward", "input_gradient" or "kernel_gradient".
      side: Shorter side, in pixels, of the input or output map, whichever is smaller.
    """
    rows = FORMS[device][what, purpose]
    return next(form for smallest, form in rows if side >= smallest)


def convolution(x, kernel, purpose="forward"):
    """Returns the zero-padded convolution [N, H, W, F] of x [N, H, W, C] and a kernel [k, k, C, F].

    Args:
      purpose: What the result is used for: "forward" or "input_gradient". It decides the form in
        which the convolution is computed; see `FORMS`.
    """
    form = _form("convolution", purpose, x.shape[1:3])
    kernel = tf.convert_to_tensor(kernel)

    @tf.custom_gradient
    def function(x, kernel):
        def gradient(upstream):
            return (
                convolution(upstream, flipped(kernel), "input_gradient"),
                kernel_gradient(x, upstream, kernel),
            )

        return CONVOLUTION[form](x, kernel), gradient

    return function(x, kernel)


def upsampled_convolution(x, kernel, purpose="forward"):
    """Returns the 3x3 `convolution` of x after nearest-neighbour upsampling: [N, 2H, 2W, F]."""
    form = _form("upsampled", purpose, x.shape[1:3])
    kernel = tf.convert_to_tensor(kernel)

    @tf.custom_gradient
    def function(x, kernel):
        def gradient(upstream):
            return (
                4.0 * pooled_convolution(upstream, flipped(kernel), "input_gradient"),
                upsampled_kernel_gradient(x, upstream, kernel),
            )

        return UPSAMPLED[form](x, kernel), gradient

    return function(x, kernel)


def pooled_convolution(x, kernel, purpose="forward"):
    """Returns the 3x3 `convolution` of x, averaged over 2x2 pixels: [N, H/2, W/2, F]."""
    form = _form("pooled", purpose, [side // 2 for side in x.shape[1:3]])
    kernel = tf.convert_to_tensor(kernel)

    @tf.custom_gradient
    def function(x, kernel):
        def gradient(upstream):
            turned = flipped(kernel)
            return (
                0.25 * upsampled_convolution(upstream, turned, "input_gradient"),
                0.25 * flipped(upsampled_kernel_gradient(upstream, x, turned)),
            )

        return POOLED[form](x, kernel), gradient

    return function(x, kernel)


def kernel_gradient(x, upstream, kernel):
    """Returns the gradient of the loss with respect to the kernel of `convolution`.

    Args:
      x: Input of the convolution.
      upstream: Gradient of the loss with respect to the output of the convolution.
      kernel: Kernel of the convolution. Only its shape and dtype are used.
    """

    form = _form("convolution", "kernel_gradient", x.shape[1:3])

    @tf.custom_gradient
    def function(x, upstream):
        def gradient(of_kernel):
            return (
                convolution(upstream, flipped(of_kernel), "input_gradient"),
                convolution(x, of_kernel),
            )

        value = KERNEL_GRADIENT[form](x, upstream, kernel.shape, kernel.dtype)
        return value, gradient

    return function(x, upstream)


def upsampled_kernel_gradient(x, upstream, kernel):
    """Returns the kernel gradient of `upsampled_convolution`; see `kernel_gradient`."""
    form = _form("upsampled", "kernel_gradient", x.shape[1:3])

    @tf.custom_gradient
    def function(x, upstream):
        def gradient(of_kernel):
            return (
                4.0 * pooled_convolution(upstream, flipped(of_kernel), "input_gradient"),
                upsampled_convolution(x, of_kernel),
            )

        value = UPSAMPLED_KERNEL_GRADIENT[form](x, upstream, kernel.shape, kernel.dtype)
        return value, gradient

    return function(x, upstream)


def _form(what, purpose, small_map):
    return form_of(device_kind(), what, purpose, min(small_map))


def device_kind() -> str:
    """Returns the kind of device that graphs are built for: "TPU", "GPU" or "CPU"."""
    kinds = {device.device_type for device in tf.config.list_logical_devices()}
    return next((kind for kind in ("TPU", "GPU") if kind in kinds), "CPU")


def flipped(kernel):
    """Returns the kernel rotated by 180 degrees, with C and F swapped, for the input gradient."""
    return tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))


def _direct(x, kernel):
    return tf.nn.conv2d(x, tf.cast(kernel, x.dtype), 1, "SAME")


def _transposed(x, kernel):
    """Computes the convolution by TensorFlow's transposed convolution with the flipped kernel."""
    shape = tf.concat([tf.shape(x)[:3], kernel.shape[3:]], axis=0)
    return tf.nn.conv2d_transpose(x, tf.cast(flipped(kernel), x.dtype), shape, 1, "SAME")


def _of_doubled(x, kernel):
    return _direct(_doubled(x), kernel)


def _in_phases(x, kernel):
    """Computes each phase of the output (see `PHASES`) with a 2x2 convolution of its own."""
    kernels = [phase_kernel(kernel, *phase) for phase in PHASES]
    pairs = zip(kernels, PHASES, strict=True)
    return interleaved([phase_convolution(x, kernel, *phase) for kernel, phase in pairs])


def phase_convolution(x, kernel, row, column):
    """Returns the output pixels [N, H, W, F] of a phase in `PHASES`, given its 2x2 kernel."""
    padding = ((0, 0), (1 - row, row), (1 - column, column), (0, 0))
    return tf.nn.conv2d(x, tf.cast(kernel, x.dtype), 1, padding)


def _in_joint_phases(x, kernel):
    """Computes all phases (see `PHASES`) with one 2x2 convolution, then crops each phase."""
    kernels = tf.concat([phase_kernel(kernel, *phase) for phase in PHASES], axis=-1)
    padding = ((0, 0), (1, 1), (1, 1), (0, 0))
    all_phases = tf.nn.conv2d(x, tf.cast(kernels, x.dtype), 1, padding)
    height, width = x.shape[1:3]
    parts = [
        part[:, row : row + height, column : column + width]
        for part, (row, column) in zip(tf.split(all_phases, 4, axis=-1), PHASES, strict=True)
    ]
    return interleaved(parts)


def _as_transposed_4x4(x, kernel):
    height, width = x.shape[1:3]
    shape = tf.stack([tf.shape(x)[0], 2 * height, 2 * width, kernel.shape[3]])
    spread = tf.cast(spread_kernel(flipped(kernel)), x.dtype)
    return tf.nn.conv2d_transpose(x, spread, shape, 2, "SAME")


def _then_mean(x, kernel):
    return tf.nn.avg_pool2d(_direct(x, kernel), 2, 2, "VALID")


def _as_strided_4x4(x, kernel):
    return tf.nn.conv2d(x, tf.cast(0.25 * spread_kernel(kernel), x.dtype), 2, "SAME")


def _on_squares(x, kernel):
    """Reads 2x2 pixels as one pixel with 4C channels, then computes a 2x2 convolution."""
    channels, filters = kernel.shape[2:]
    squares = tf.nn.space_to_depth(tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 2)
    spread = tf.reshape(0.25 * spread_kernel(kernel), (2, 2, 2, 2, channels, filters))
    spread = tf.reshape(tf.transpose(spread, (0, 2, 1, 3, 4, 5)), (2, 2, 4 * channels, filters))
    return tf.nn.conv2d(squares, tf.cast(spread, x.dtype), 1, "VALID")


def _library_kernel_gradient(x, upstream, shape, dtype):
    gradient = tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=shape, out_backprop=upstream, strides=[1, 1, 1, 1], padding="SAME"
    )
    return tf.cast(gradient, dtype)


def _kernel_gradient_of_doubled(x, upstream, shape, dtype):
    return _library_kernel_gradient(_doubled(x), upstream, shape, dtype)


def _kernel_gradient_in_phases(x, upstream, shape, dtype):
    gradients = {}
    for row, column in PHASES:
        gradient = tf.raw_ops.Conv2DBackpropFilter(
            input=x,
            filter_sizes=(2, 2, *shape[2:]),
            out_backprop=upstream[:, row::2, column::2],
            strides=[1, 1, 1, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 1 - row, row, 1 - column, column, 0, 0],
        )
        gradients[row, column] = tf.cast(gradient, dtype)
    rows = [_taps_of_phases(gradients[row, 0], gradients[row, 1], 1) for row in (0, 1)]
    return _taps_of_phases(*rows, axis=0)


def _kernel_gradient_strided(x, upstream, shape, dtype):
    """Computes the 3x3 kernel's gradient from the gradient of a 4x4 kernel.

    The 4x4 kernel belongs to a convolution with stride 2 that maps the gradient of the output to
    the gradient of x. The entries of the 4x4 kernel are sums of entries of the 3x3 kernel; see
    `spread_kernel`.
    """
    gradient = tf.raw_ops.Conv2DBackpropFilter(
        input=upstream,
        filter_sizes=(4, 4, shape[3], shape[2]),
        out_backprop=x,
        strides=[1, 2, 2, 1],
        padding="SAME",
    )
    gradient = tf.cast(gradient, dtype)
    for axis in (0, 1):
        first, second, third, fourth = tf.unstack(gradient, axis=axis)
        gradient = tf.stack([first + second, second + third, third + fourth], axis=axis)
    return flipped(gradient)


def _doubled(x):
    return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)


def phase_kernel(kernel, row, column):
    """Returns the kernel [2, 2, C, F] that computes one phase of an `upsampled_convolution`.

    Args:
      kernel: The kernel [3, 3, C, F] of the upsampled convolution.
      row, column: The phase, an entry of `PHASES`.
    """
    return _taps_of_phase(_taps_of_phase(kernel, 0, row), 1, column)


def _taps_of_phase(kernel, axis, phase):
    """Merges the three taps of a kernel along an axis into the two taps of a phase."""
    first, middle, last = tf.unstack(kernel, axis=axis)
    taps = (first + middle, last) if phase else (first, middle + last)
    return tf.stack(taps, axis=axis)


def _taps_of_phases(even, odd, axis):
    """Returns the gradient of three taps, given the gradients of the two taps of each phase."""
    even_first, even_second = tf.unstack(even, axis=axis)
    odd_first, odd_second = tf.unstack(odd, axis=axis)
    taps = (even_first + odd_first, even_second + odd_first, even_second + odd_second)
    return tf.stack(taps, axis=axis)


def spread_kernel(kernel):
    """Returns the 4x4 kernel that sums the outputs of a 3x3 kernel over 2x2 pixels.

    A convolution of stride 2 with the returned kernel [4, 4, C, F] computes these sums.
    """
    for axis in (0, 1):
        first, middle, last = tf.unstack(kernel, axis=axis)
        kernel = tf.stack([first, first + middle, middle + last, last], axis=axis)
    return kernel


def interleaved(parts):
    """Interleaves four phases [N, H, W, F], in the order of `PHASES`, to [N, 2H, 2W, F]."""
    height, width, filters = parts[0].shape[1:]
    even, odd = (tf.stack(parts[2 * row : 2 * row + 2], axis=3) for row in (0, 1))
    return tf.reshape(tf.stack([even, odd], axis=2), (-1, 2 * height, 2 * width, filters))


CONVOLUTION = {"direct": _direct, "transposed": _transposed}
UPSAMPLED = {
    "doubled": _of_doubled,
    "phases": _in_phases,
    "joint_phases": _in_joint_phases,
    "transposed_4x4": _as_transposed_4x4,
}
POOLED = {"mean": _then_mean, "strided_4x4": _as_strided_4x4, "squares": _on_squares}
KERNEL_GRADIENT = {"library": _library_kernel_gradient}
UPSAMPLED_KERNEL_GRADIENT = {
    "doubled": _kernel_gradient_of_doubled,
    "phases": _kernel_gradient_in_phases,
    "strided_4x4": _kernel_gradient_strided,
}
