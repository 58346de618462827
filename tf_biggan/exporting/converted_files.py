"""Writes a generator as an ONNX or TFLite file, and checks the file in a runtime of that format.

Files of both formats have one function, `default`. Its inputs and its output are those of the
SavedModel's signature `default`, except that `truncation` is always [N]. Most other signatures of
the SavedModel sample latent vectors from seeds (StatelessRandomUniformFullIntV2, Ndtri) or write
PNG files (EncodePng). Neither format has these operations.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.terminal import one_line, quiet_stderr
from tf_biggan.exporting.saved_model_description import Signature, tensor_text
from tf_biggan.networks.generator import Generator

SIGNATURE = "default"
OPSET = 18
# Maximum size of the weights. Offsets in both formats are signed numbers of 32 bits, and 16 MiB are
# left for the graph.
MOST_BYTES = 2**31 - 2**24
# Largest allowed difference between the file's images and the generator's, which are in [-1, 1], by
# the type of the weights. One of 256 levels is 0.008.
LIMITS = {"float32": 1e-4, "float16": 0.05}
# Numbers of images of the batches that are compared.
CHECKED_ROWS = (1, 3)
# Packages that --format=onnx imports.
ONNX_PACKAGES = ("onnx", "tf2onnx", "onnxruntime")
LONGEST_REASON = 200
# The list of operations that TFLite does not have, in the error message of the converter.
_TFLITE_OPERATIONS = re.compile(r"(?<=\bTF Select ops: )[\w, ]+")

Run = Callable[[Mapping[str, np.ndarray]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A file that was written and checked.

    Attributes:
      signature: Name, inputs and outputs of the file's function.
      largest_difference: Largest difference between the file's images and the generator's, which
        are in [-1, 1].
      runtime: Name and version of the runtime that computed the file's images.
    """

    signature: Signature
    largest_difference: float
    runtime: str


def require_onnx() -> None:
    """Raises ValueError if a package that writes or runs ONNX files is not installed."""
    checks.require_packages(
        "--format=onnx needs packages that are not installed. Run pip install 'tf_biggan[onnx]'.",
        *ONNX_PACKAGES,
    )


def write_converted(
    generator: Generator, path: str, kind: str, weights: str = "float32"
) -> Conversion:
    """Writes a generator as one file, runs the file, and compares its images with the generator's.

    Args:
      generator: Generator for inference.
      path: File to write.
      kind: "onnx" or "tflite".
      weights: Type of the weights in the file: "float32", or "float16" for TFLite.

    Raises:
      ValueError: The generator is too large for the format, an operation cannot be converted, or
        the images differ too much.
      OSError: The file cannot be written.
    """
    require_size(kind, int(generator.count_params()))
    convert, run = CONVERTERS[kind], RUNTIMES[kind]
    function = default_function(generator)
    with quiet_stderr():
        # If a conversion fails, the error has one line, so the converter's output is not printed.
        with quiet_stderr(print_after_error=False):
            content = convert(generator, function, weights)
        with open(path, "wb") as file:
            file.write(content)
        runtime, images = run(path)
        found = [_difference(generator, function, images, rows) for rows in CHECKED_ROWS]
    # Unlike the built-in `max`, NumPy's keeps a NaN, which the comparison then refuses.
    difference = float(np.max(found))
    instead = "--tflite_type=float32" if weights == "float16" else "--format=saved_model"
    checks.require(
        difference <= LIMITS[weights],
        f"images of the {kind} file differ from the model's; use {instead}",
        largest_difference=difference,
        allowed=LIMITS[weights],
        runtime=runtime,
    )
    return Conversion(_signature(function), difference, runtime)


def require_size(kind: str, num_values: int) -> None:
    """Raises ValueError if a file of the kind "onnx" or "tflite" cannot hold so many weights.

    The limit is the same for float16, because float16 weights are first written as float32.
    """
    checks.require(
        4 * num_values <= MOST_BYTES,
        f"files of --format={kind} hold at most 2 GiB; use --format=saved_model, keras or"
        " safetensors",
        bytes_of_weights=4 * num_values,
    )


def default_function(generator: Generator):
    """Returns the `tf.function` that a converted file holds: it makes images from latent vectors.

    Its arguments are z, y (class weights) and truncation. Without classes, there is no y.
    """
    specs = [tf.TensorSpec([None, generator.latent_dim], tf.float32, "z")]
    if generator.num_classes:
        specs.append(tf.TensorSpec([None, generator.num_classes], tf.float32, "y"))
    specs.append(tf.TensorSpec([None], tf.float32, "truncation"))
    shape = (None, *generator.image_size, generator.image_channels)

    def images(z, embeddings, truncation):
        made = generator.synthesize(z, embeddings, truncation=truncation)
        return {SIGNATURE: tf.ensure_shape(made, shape)}

    def conditional(z, y, truncation):
        return images(z, generator.embed(y), truncation)

    def unconditional(z, truncation):
        return images(z, None, truncation)

    chosen = conditional if generator.num_classes else unconditional
    return tf.function(chosen, autograph=False, input_signature=specs)


def _signature(function) -> Signature:
    specs = sorted(function.input_signature, key=lambda spec: spec.name)
    inputs = {spec.name: tensor_text(spec.dtype, spec.shape) for spec in specs}
    made = function.get_concrete_function().structured_outputs[SIGNATURE]
    return Signature(SIGNATURE, inputs, {SIGNATURE: tensor_text(made.dtype, made.shape)})


def _to_onnx(generator, function, weights) -> bytes:
    import onnx
    import tf2onnx

    try:
        model, _ = tf2onnx.convert.from_function(
            function, input_signature=function.input_signature, opset=OPSET
        )
    except Exception as error:
        raise _cannot_convert("ONNX", type(error).__name__, str(error)) from error
    # tf2onnx leaves an operation that it does not know in the graph, under TensorFlow's name.
    unknown = {n.op_type for n in model.graph.node if not onnx.defs.has(n.op_type, n.domain)}
    if unknown:
        raise _cannot_convert("ONNX", "no such operations", ", ".join(sorted(unknown)))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return model.SerializeToString()


def _to_tflite(generator, function, weights) -> bytes:
    module = tf.Module()
    module.held = [variable.value for variable in generator.variables]
    signatures = {SIGNATURE: function.get_concrete_function()}
    try:
        # `from_concrete_functions` loses the values of the variables (TensorFlow 2.21).
        with tempfile.TemporaryDirectory(prefix="tf_biggan-") as folder:
            tf.saved_model.save(module, folder, signatures=signatures)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
            if weights == "float16":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            return converter.convert()
    except Exception as error:
        found = ", ".join(_TFLITE_OPERATIONS.findall(str(error))).split(", ")
        told = ", ".join(sorted(set(filter(None, found)))) or one_line(str(error))
        raise _cannot_convert("TFLite", type(error).__name__, told) from error


def _cannot_convert(name: str, kind: str, told: str) -> ValueError:
    return ValueError(
        f"The {name} converter cannot convert this model ({kind}:"
        f" {one_line(told)[:LONGEST_REASON]}); use --format=saved_model, keras or safetensors."
    )


def _run_onnx(path: str) -> tuple[str, Run]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return (
        f"onnxruntime {onnxruntime.__version__}",
        lambda inputs: session.run([SIGNATURE], dict(inputs))[0],
    )


def _run_tflite(path: str) -> tuple[str, Run]:
    try:
        from ai_edge_litert.interpreter import Interpreter

        name = f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"
    except ImportError:
        Interpreter, name = tf.lite.Interpreter, f"tf.lite of TensorFlow {tf.__version__}"  # noqa: N806
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = Interpreter(model_path=path).get_signature_runner(SIGNATURE)
    return name, lambda inputs: runner(**inputs)[SIGNATURE]


def _difference(generator, function, images: Run, rows: int) -> float:
    """Returns the largest difference between the images of the file and of the generator.

    Both make images from the same inputs, which have several truncations and mixtures of classes.
    """
    inputs = _inputs(generator, rows)
    expected = function(**inputs)[SIGNATURE].numpy()
    return float(np.abs(images(inputs).astype(np.float64) - expected).max())


def _inputs(generator: Generator, rows: int) -> dict[str, np.ndarray]:
    random = np.random.RandomState(rows)
    truncation = random.uniform(0.2, 1.0, rows)
    z = truncation[:, None] * np.clip(random.standard_normal((rows, generator.latent_dim)), -2, 2)
    inputs = {"z": z, "truncation": truncation}
    if generator.num_classes:
        inputs["y"] = random.dirichlet(np.full(generator.num_classes, 0.1), rows)
        inputs["y"][0] = np.eye(generator.num_classes)[generator.num_classes - 1]
    return {name: value.astype(np.float32) for name, value in inputs.items()}


CONVERTERS = {"onnx": _to_onnx, "tflite": _to_tflite}
RUNTIMES = {"onnx": _run_onnx, "tflite": _run_tflite}
