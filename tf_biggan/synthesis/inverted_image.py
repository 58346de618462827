"""What `invert` finds of an image, and the .npz that `interpolate` reads it from."""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from tf_biggan import checks
from tf_biggan.replaced_file import replaced

ENDING = ".npz"
FORMAT = "tf_biggan inverted image"
NAMES = ("z", "psnr", "truncation", "description")


@dataclasses.dataclass(frozen=True)
class InvertedImage:
    """Where in a generator's latents an image lies.

    Attributes:
      z: float32 [latent_dim], as the generator takes it.
      embedding: float32, what `ImageMaker.embeddings` gives for a class, or a mixture; None if the
        generator is unconditional.
      truncation: for the table of statistics.
      psnr: of the reconstruction, in dB.
      description: JSON values by name: the model with the hash of its weights, the image, how.
    """

    z: np.ndarray
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
    if found.embedding is not None:
        arrays["embedding"] = found.embedding
    with replaced(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_inverted(path: str) -> InvertedImage:
    """The inverse of `write_inverted`; nothing in the file is executed.

    Raises:
      ValueError: it is not there, damaged, or not written by invert.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        description = json.loads(str(arrays["description"]))
        checks.require(description.pop("format") == FORMAT, "another format", path=path)
        z, psnr, truncation = (arrays[name] for name in NAMES[:3])
        return InvertedImage(
            np.asarray(z, np.float32).reshape(-1),
            None if "embedding" not in arrays else np.asarray(arrays["embedding"], np.float32),
            float(truncation),
            float(psnr),
            description,
        )
    except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "no such file of numbers"
        raise ValueError(
            f"An end point that ends in {ENDING} must be a file that invert wrote."
            f" Received: {path} ({reason})."
        ) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"An end point that ends in {ENDING} must be complete. Received: {path} ({error})."
        ) from error
