"""Scores a model with your own feature extractor: python examples/custom_extractor.py --model=M

The extractor may be any Keras model that is saved as a .keras file, or a SavedModel. It receives
images with float32 values from 0 to 255. This script first trains a small network that recognises
digits, and uses it as the extractor. The scores have names such as extractor_fid, because only
features of the Inception network of 2015 give a score that is called FID.
"""

from __future__ import annotations

import argparse
import os

import keras

from tf_biggan import EvaluateConfig, evaluate, make_dataset, open_model, open_source

FEATURES = "features"


def train_extractor(path: str, image_size: int, steps: int) -> None:
    """Trains a classifier of digits and saves it. Its layer "features" has 32 outputs."""
    network = keras.Sequential(
        [
            keras.Input((image_size, image_size, 1)),  # values from 0 to 255
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(32, activation="relu", name=FEATURES),
            keras.layers.Dense(10),
        ]
    )
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = make_dataset(
        open_source("digits"), image_size=image_size, image_channels=1, batch_size=64, seed=0
    )
    data = data.map(lambda images, labels: ((images + 1) * 127.5, labels))
    network.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0)
    network.save(path)


def main(model: str, output: str = "extractor", steps: int = 100, num_images: int = 256) -> dict:
    """Trains the extractor and returns the scores of a model that makes grey digits, by name."""
    os.makedirs(output, exist_ok=True)
    path = os.path.join(output, "digits.keras")
    train_extractor(path, open_model(model).generator.image_size[0], steps)
    scores = evaluate(
        EvaluateConfig(
            model=model,
            reference="digits",
            extractor=path,
            layer=FEATURES,
            metrics="fid,kid",
            num_images=num_images,
            output=os.path.join(output, "scores.json"),
        )
    )
    return dict(scores.values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="folder of a model that makes grey digits")
    parser.add_argument("--output", default="extractor", help="folder for extractor and scores")
    main(**vars(parser.parse_args()))
