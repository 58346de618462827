"""Samples images from a model.

Examples:
  python -m tf_biggan.sample --model=runs/birds
  python -m tf_biggan.sample --model=runs/birds --num_images=50000 --output=samples.npz

By default, the command writes the sheet samples.png: a row for each class (at most 10) and a column
for each of the seeds 0 to 9. If the command is interrupted while it writes a folder or an .npz
file, run it again to resume.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.sample_settings import SampleConfig

if __name__ == "__main__":
    flags.run_public(
        "sample",
        SampleConfig,
        interrupted="Interrupted. If the output is a folder or an .npz file, run the same command"
        " again to resume.",
    )
