"""Finds an image in a model's latents: python -m tf_biggan.invert --model=RUN --image=photo.png

Gradient descent through the generator looks for z and class of the image that the model makes most
like it. What is found is an end point of interpolate: --endpoints=inversion.npz,tench@3
"""

from __future__ import annotations

from absl import flags as absl_flags

from tf_biggan.cli import flags
from tf_biggan.cli.invert_settings import InvertConfig
from tf_biggan.cli.terminal import quiet_tensorflow


def main() -> int:
    """Runs the command; returns its exit code."""
    config = flags.parsed(InvertConfig)
    quiet_tensorflow()
    from tf_biggan.pictures.inverted_image import invert_file

    invert_file(config)
    return 0


if __name__ == "__main__":
    flags.define(InvertConfig)
    # A field cannot have that name.
    absl_flags.DEFINE_alias("class", "classes")
    flags.run(main, required=["model", "image"])
