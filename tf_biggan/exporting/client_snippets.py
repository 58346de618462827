"""Python code that makes images with an export, for the model card of each format.

Users run the code in the folder of the export. Code for a SavedModel runs in any folder, after the
path of the export was filled in.
"""

from __future__ import annotations

from collections.abc import Mapping

ROWS, TRUNCATION = 2, 0.5
_SAVED_MODEL = """\
import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

{latents}
module = hub.load("path/of/this/folder")
{weights}images = module(z, {weights_argument}{truncation})  # float32 {shape} in [-1, 1]

png = module.signatures["generate_png"](
    {label_argument}seed=tf.constant([7], tf.int64), truncation=tf.constant([{truncation}])
)["image_bytes"][0].numpy()"""
_LATENTS = """\
# A normal distribution that is cut off at {limit}{scaled_note}.
random = np.random.default_rng(seed=7)
z = random.standard_normal(({rows}, {latent_dim}))
while (outside := np.abs(z) > {limit}).any():
    z[outside] = random.standard_normal(outside.sum())
z = ({factor}z).astype("float32")"""
_INPUTS = """
inputs = {{"z": z, "truncation": np.full({rows}, {truncation}, "float32")}}"""
_CLASSES = """
# One row for each image: one-hot, or weights of several classes.
inputs["y"] = np.eye({num_classes}, dtype="float32")[{labels}]"""
_PICTURE = """
pixels = np.clip(np.floor(127.5 * (images + 1) + 0.5), 0, 255).astype("uint8")"""
_ONNX = """\
import numpy as np
import onnxruntime

{latents}{inputs}
session = onnxruntime.InferenceSession("generator.onnx")
(images,) = session.run(["default"], inputs)  # float32 {shape} in [-1, 1]{picture}"""
_TFLITE = """\
import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter  # pip install ai-edge-litert
except ImportError:
    import tensorflow as tf

    Interpreter = tf.lite.Interpreter

{latents}{inputs}
runner = Interpreter("generator.tflite").get_signature_runner("default")
images = runner(**inputs)["default"]  # float32 {shape} in [-1, 1]{picture}"""
_KERAS = """\
import keras
import numpy as np
from tf_biggan import Generator  # registers the layers

{latents}
generator = keras.saving.load_model("generator.keras")
images = generator(z{labels_argument}, truncation={truncation})  # float32 {shape} in [-1, 1]"""
_SAFETENSORS = """\
import numpy as np
from tf_biggan import open_model

{latents}
generator = open_model("{path}").generator
images = generator(z{labels_argument}, truncation={truncation})  # float32 {shape} in [-1, 1]"""
SNIPPETS = {
    "saved_model": _SAVED_MODEL,
    "onnx": _ONNX,
    "tflite": _TFLITE,
    "keras": _KERAS,
    "safetensors": _SAFETENSORS,
}


def client_snippet(kind: str, metadata: Mapping[str, object], path: str = ".") -> str:
    """Returns Python code that makes images with an export.

    Args:
      kind: Format of the export.
      metadata: Metadata of the export.
      path: Path of a model folder, or its address in a hub. Only for "safetensors".
    """
    classes, (height, width) = metadata["num_classes"], metadata["image_size"]
    scaled = metadata["truncation_mode"] == "scale"
    labels = [0, max(classes, 1) - 1]
    one_hot = f'y = np.eye({classes}, dtype="float32")[{labels}]  # one-hot, or mixtures\n'
    values = {
        "path": path,
        "rows": ROWS,
        "truncation": TRUNCATION,
        "latent_dim": metadata["latent_dim"],
        "num_classes": classes,
        "labels": labels,
        "limit": 2 if scaled else TRUNCATION,
        "scaled_note": f", times the truncation {TRUNCATION}" if scaled else "",
        "factor": f"{TRUNCATION} * " if scaled else "",
        "shape": [ROWS, height, width, metadata["image_channels"]],
        "weights": one_hot if classes else "",
        "weights_argument": "y, " if classes else "",
        "label_argument": "label=tf.constant([0], tf.int64), " if classes else "",
        "labels_argument": f", labels={labels}" if classes else "",
        "picture": _PICTURE,
    }
    values["latents"] = _LATENTS.format(**values)
    values["inputs"] = (_INPUTS + (_CLASSES if classes else "")).format(**values)
    return SNIPPETS[kind].format(**values)
