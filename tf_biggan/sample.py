"""Samples images from a model.

Examples:
  python -m tf_biggan.sample --model=runs/birds
  python -m tf_biggan.sample --model=runs/birds --num_images=50000 --output=samples.npz

By default a sheet samples.png is written, with classes as rows and seeds 0 to 9 as columns. If a
folder or an .npz file is interrupted, the same command continues.
"""

from __future__ import annotations

from tf_biggan.cli import flags
from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.cli.terminal import quiet_tensorflow


def main(config: SampleConfig) -> int:
    """Runs the command and returns its exit code."""
    quiet_tensorflow()
    from tf_biggan.pictures.samples import sample

    sample(config)
    return 0


if __name__ == "__main__":
    flags.run(
        main,
        SampleConfig,
        interrupted="Interrupted. Run the same command again to resume a folder or an .npz file.",
    )
