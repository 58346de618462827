"""Finds the latent vector and class whose image is most similar to a given image.

Example:
  python -m tf_biggan.invert --model=runs/birds --image=photo.png

The latent vector and class are optimised by gradient descent through the generator. The result is
an end point for interpolate: --endpoints=inversion.npz,tench@3
"""

from tf_biggan.cli import flags
from tf_biggan.cli.invert_settings import InvertConfig

if __name__ == "__main__":
    flags.run_public("invert", InvertConfig)
