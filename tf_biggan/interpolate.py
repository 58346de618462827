"""Draws paths between images of a model: python -m tf_biggan.interpolate --model=RUN

Without other flags a sheet of eight pairs of random images with eight images between them. A GIF
from named images and back: --endpoints=tench@3,goldfish@5,7@0 --loop --output=path.gif
"""

from __future__ import annotations

from tf_biggan.cli import flags
from tf_biggan.cli.interpolate_settings import InterpolateConfig
from tf_biggan.cli.terminal import quiet_tensorflow


def main() -> int:
    """Runs the command; returns its exit code."""
    config = flags.parsed(InterpolateConfig)
    quiet_tensorflow()
    from tf_biggan.pictures.interpolations import interpolate

    interpolate(config)
    return 0


if __name__ == "__main__":
    flags.define(InterpolateConfig)
    flags.run(main, required=["model"])
