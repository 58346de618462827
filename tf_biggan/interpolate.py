"""Interpolates between images of a model.

Examples:
  python -m tf_biggan.interpolate --model=runs/birds
  python -m tf_biggan.interpolate --model=models/biggan128 --endpoints=tench@3,goldfish@5 --loop \\
      --output=path.gif

By default a sheet interpolation.png is written: eight pairs of random images with eight images
between them.
"""

from __future__ import annotations

from tf_biggan.cli import flags
from tf_biggan.cli.interpolate_settings import InterpolateConfig
from tf_biggan.cli.terminal import quiet_tensorflow


def main(config: InterpolateConfig) -> int:
    """Runs the command and returns its exit code."""
    quiet_tensorflow()
    from tf_biggan.pictures.interpolations import interpolate

    interpolate(config)
    return 0


if __name__ == "__main__":
    flags.run(main, InterpolateConfig)
