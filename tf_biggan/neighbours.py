"""Shows the real images that are nearest to samples of a model, to check for memorisation.

Example:
  python -m tf_biggan.neighbours --model=runs/birds

Every row of the sheet neighbours.png shows a sample and its nearest images of the training data,
by the distance of their features.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.neighbours_settings import NeighboursConfig

if __name__ == "__main__":
    flags.run_public("neighbours", NeighboursConfig)
