"""Writes a data set as TFRecord files at one resolution, for faster training than on image files.

Example:
  python -m tf_biggan.prepare --source=folder:/data/birds --resolution=128 --output=/data/birds128

The command crops the centre of each image, to a square or to the aspect ratio of
--resolution=HEIGHTxWIDTH, and resizes it with an antialiased bilinear filter. Images are stored
without loss, except with --format=jpeg. If the command is interrupted, run it again to resume. Then
train with --dataset=tfrecord:/data/birds128.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.prepare_settings import PrepareConfig

if __name__ == "__main__":
    flags.run_public(
        "prepare", PrepareConfig, interrupted="Interrupted. Run the same command again to resume."
    )
