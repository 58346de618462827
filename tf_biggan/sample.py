"""Draws images of a model: python -m tf_biggan.sample --model=RUN

Without other flags a sheet, samples.png: classes as rows, seeds 0 to 9 as columns. For evaluators:
--num_images=50000 --output=samples.npz, or a folder. Interrupted, the same command goes on.
"""

from __future__ import annotations

from tf_biggan.cli import flags
from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.cli.terminal import quiet_tensorflow


def main() -> int:
    """Runs the command; returns its exit code."""
    config = flags.parsed(SampleConfig)
    quiet_tensorflow()
    from tf_biggan.pictures.samples import sample

    sample(config)
    return 0


if __name__ == "__main__":
    flags.define(SampleConfig)
    flags.run(
        main,
        required=["model"],
        interrupted="Interrupted. A folder or an .npz goes on with the same command.",
    )
