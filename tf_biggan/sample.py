"""Samples images from a model.

Examples:
  python -m tf_biggan.sample --model=runs/birds
  python -m tf_biggan.sample --model=runs/birds --num_images=50000 --output=samples.npz

By default a sheet samples.png is written, with classes as rows and seeds 0 to 9 as columns. If a
folder or an .npz file is interrupted, the same command continues.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.sample_settings import SampleConfig

if __name__ == "__main__":
    flags.run_public(
        "sample",
        SampleConfig,
        interrupted="Interrupted. Run the same command again to resume a folder or an .npz file.",
    )
