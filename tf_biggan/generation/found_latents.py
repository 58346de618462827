"""What `invert` finds of an image, and the .npz that `interpolate` reads it from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import numpy as np

from tf_biggan import checks
from tf_biggan.files.atomic import replaced
from tf_biggan.files.json_files import parse_json
from tf_biggan.files.npz_files import read_npz

ENDING = ".npz"
FORMAT = "tf_biggan inverted image"
OF_CLASS = ("class_weights", "embedding")


@dataclasses.dataclass(frozen=True)
class InvertedImage:
    """Where in a generator's latents an image lies.

    Attributes:
      z: float32 [latent_dim], as the generator takes it.
      class_weights: float32 [num_classes], whose mixture it is; None without classes.
      embedding: float32, what `ImageMaker.embeddings` gives for them; None without classes.
      truncation: for the table of statistics.
      psnr: of the reconstruction, in dB.
      description: JSON values by name: the model with the hash of its weights, the image, how.
    """

    z: np.ndarray
    class_weights: np.ndarray | None
    embedding: np.ndarray | None
    truncation: float
    psnr: float
    description: Mapping[str, object]


def write_inverted(path: str, found: InvertedImage) -> None:
    """Writes the .npz; it is never half a file."""
    arrays = {
        "z": found.z,
        "psnr": np.float64(found.psnr),
        "truncation": np.float64(found.truncation),
        "description": np.array(json.dumps({"format": FORMAT, **found.description})),
    }
    of_class = {name: getattr(found, name) for name in OF_CLASS}
    arrays |= {name: array for name, array in of_class.items() if array is not None}
    with replaced(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_inverted(path: str) -> InvertedImage:
    """The inverse of `write_inverted`; nothing in the file is executed.

    Raises:
      ValueError: it is not there, damaged, or not written by invert.
    """
    arrays = read_npz(path)
    description = _description(arrays, path)
    checks.require(
        description.pop("format", None) == FORMAT and _has_values(arrays),
        f"an end point that ends in {ENDING} must be a file that invert wrote",
        endpoints=path,
    )
    return InvertedImage(
        np.asarray(arrays["z"], np.float32),
        *(arrays.get(name) for name in OF_CLASS),
        float(arrays["truncation"]),
        float(arrays["psnr"]),
        description,
    )


def _has_values(arrays) -> bool:
    """Whether there are all arrays that are not a class's, of their kinds."""
    axes = {name: array.ndim for name, array in arrays.items() if array.dtype.kind == "f"}
    return (axes.get("z"), axes.get("psnr"), axes.get("truncation")) == (1, 0, 0)


def _description(arrays, path) -> dict[str, object]:
    try:
        return parse_json(str(arrays.get("description")), path)
    except ValueError:
        return {}
