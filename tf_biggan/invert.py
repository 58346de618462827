"""Finds the latent vector and class whose image is most similar to a given image.

Example:
  python -m tf_biggan.invert --model=runs/birds --image=photo.png

The command optimises the latent vector and class by gradient descent through the generator, and
writes them to inversion.npz. `interpolate` accepts this file as an end point:
--endpoints=inversion.npz,tench@3
"""

from tf_biggan.cli import flags
from tf_biggan.cli.invert_settings import InvertConfig

if __name__ == "__main__":
    flags.run_public("invert", InvertConfig)
