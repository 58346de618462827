"""Program of test_backends.py: uses the package under the backend that KERAS_BACKEND names.

    python backend_program.py FOLDER

It opens the model folders in FOLDER. It writes images, logits and initial weights to
FOLDER/BACKEND.npz, and the messages of functions that need TensorFlow to FOLDER/BACKEND.json.
"""

from __future__ import annotations

import json
import pathlib
import sys

import keras
import numpy as np

import tf_biggan
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.model_directory import load_network, read_directory

KINDS = ("ortho", "n02", "glorot")
SEED = 11
OLD_RUN = pathlib.Path(__file__).parents[1] / "version_0_1" / "run"


def images(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the images of every model folder, for the inputs in the .npz file beside it."""
    made = {}
    for file in sorted(folder.glob("*.inputs.npz")):
        name = file.name.removesuffix(".inputs.npz")
        generator = tf_biggan.open_model(str(folder / name)).generator
        result = generator(**np.load(file))
        made[f"images/{name}"] = keras.ops.convert_to_numpy(result)
    return made


def logits(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the logits of the discriminators, for the images in the .npz file beside each."""
    made = {}
    for file in sorted(folder.glob("*.images.npz")):
        name, given = file.name.removesuffix(".images.npz"), np.load(file)
        discriminator = load_network(read_directory(str(folder / name)), "discriminator")
        result = discriminator(given["images"], given["labels"])
        made[f"logits/{name}"] = keras.ops.convert_to_numpy(result)
    return made


def weights() -> dict[str, np.ndarray]:
    """Returns the initial weights of small networks, by kind and path."""
    made = {}
    for kind in KINDS:
        settings = dict(base_channels=4, initializer=kind, seed=SEED)
        for network in (
            tf_biggan.Generator("biggan32", 3, **settings),
            tf_biggan.Discriminator("biggan32", 3, **settings),
        ):
            for path, variable in variables_by_path(network).items():
                value = keras.ops.convert_to_numpy(variable)
                made[f"weights/{kind}/{network.side}/{path}"] = np.array(value)
    return made


def messages(folder: pathlib.Path) -> dict[str, str]:
    """Returns the errors of functions that need TensorFlow, by name."""
    model, output = str(next(folder.glob("*.inputs.npz"))).split(".inputs")[0], str(folder / "none")
    settings = tf_biggan.TrainConfig.from_flat(dict(dataset="digits", image_channels=1))
    calls = {
        "open a run": lambda: tf_biggan.open_model(str(OLD_RUN)),
        "train": lambda: tf_biggan.train(settings, output),
        "evaluate": lambda: tf_biggan.evaluate(tf_biggan.EvaluateConfig(model=model)),
        "sample": lambda: tf_biggan.sample(
            tf_biggan.SampleConfig(model=model, seeds="0", output=f"{output}.png")
        ),
        "export": lambda: tf_biggan.export(tf_biggan.ExportConfig(model=model, output=output)),
    }
    return {name: _error(call) for name, call in calls.items()}


def _error(call) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    return "no error"


def main(folder: pathlib.Path) -> None:
    backend = keras.backend.backend()
    np.savez(folder / f"{backend}.npz", **images(folder), **logits(folder), **weights())
    told = json.dumps(messages(folder))
    (folder / f"{backend}.json").write_text(told, encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
