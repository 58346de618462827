"""Interpolates between images of a model.

Examples:
  python -m tf_biggan.interpolate --model=runs/birds
  python -m tf_biggan.interpolate --model=models/biggan128 --endpoints=tench@3,goldfish@5 --loop \\
      --output=path.gif

By default, the command writes the sheet interpolation.png with eight rows. Each row shows two
random images and eight images between them.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.interpolate_settings import InterpolateConfig

if __name__ == "__main__":
    flags.run_public("interpolate", InterpolateConfig)
