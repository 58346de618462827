"""Writes a data set as TFRecord files at one resolution, which trains faster than image files.

Example:
  python -m tf_biggan.prepare --source=folder:/data/birds --resolution=128 --output=/data/birds128

Images are cropped centrally to a square, or to the aspect ratio of --resolution=HEIGHTxWIDTH,
resized with an antialiased bilinear filter and stored without loss. Train with
--dataset=tfrecord:/data/birds128. After an interruption, the same command continues.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.prepare_settings import PrepareConfig

if __name__ == "__main__":
    flags.run_public(
        "prepare", PrepareConfig, interrupted="Interrupted. Run the same command again to resume."
    )
