"""Shows the real images that are nearest to samples of a model, to check for memorisation.

Example:
  python -m tf_biggan.neighbours --model=runs/birds

Every row of the sheet neighbours.png shows a sample and its nearest images of the training data,
by the distance of their features.
"""

from __future__ import annotations

from tf_biggan.cli import flags
from tf_biggan.cli.neighbours_settings import NeighboursConfig
from tf_biggan.cli.terminal import quiet_tensorflow


def main(config: NeighboursConfig) -> int:
    """Runs the command and returns its exit code."""
    quiet_tensorflow()
    from tf_biggan.pictures.nearest_images import draw_neighbours

    draw_neighbours(config)
    return 0


if __name__ == "__main__":
    flags.run(main, NeighboursConfig)
