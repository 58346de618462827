"""Shows the real images that are nearest to samples of a model, to check for memorisation.

Example:
  python -m tf_biggan.neighbours --model=runs/birds

Every row of the sheet neighbours.png shows a sample, followed by the training images whose features
are nearest to the features of the sample.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.neighbours_settings import NeighboursConfig

if __name__ == "__main__":
    flags.run_public("neighbours", NeighboursConfig)
