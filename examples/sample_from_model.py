"""Makes images of a trained model in Python: python examples/sample_from_model.py --model=MODEL

MODEL is the folder of a run, of a converted model or of an exported SavedModel. The script makes
four images and writes each image to a PNG file. `python -m tf_biggan.sample` has more options.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
from PIL import Image

from tf_biggan import latents, open_model


def main(model: str, output: str = "samples", truncation: float = 0.5) -> list[str]:
    """Writes images of the first two classes and returns the paths of the files."""
    opened = open_model(model)
    generator, names = opened.generator, opened.class_names
    seeds = np.array([0, 1, 0, 1])
    # A latent vector depends only on its seed and the truncation, and is the same on all devices.
    z = latents(seeds, np.zeros(4, int), generator.latent_dim, truncation)  # [4, latent_dim]
    labels = np.array([0, 0, 1, 1]) if generator.num_classes else None  # [4]
    # If the model has a table of batch-norm statistics, the truncation also selects from it.
    images = generator(z, labels, truncation=truncation)  # [4, H, W, C] in [-1, 1]
    pixels = np.round((np.asarray(images) + 1) * 127.5).astype(np.uint8)

    os.makedirs(output, exist_ok=True)
    paths = []
    for row, picture in enumerate(pixels):
        label = "image" if labels is None else names[labels[row]] if names else str(labels[row])
        paths.append(os.path.join(output, f"{label}-seed{seeds[row]}.png"))
        grey = picture.shape[-1] == 1
        Image.fromarray(picture[..., 0] if grey else picture).save(paths[-1])
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--output", default="samples", help="folder for the images")
    parser.add_argument("--truncation", type=float, default=0.5, help="above 0 and at most 1")
    print("Written:", *main(**vars(parser.parse_args())), sep="\n")
