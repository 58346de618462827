"""Draws the real images nearest to samples: python -m tf_biggan.neighbours --model=RUN

The check for memorisation: each row is a sample, then the images of the training data that are
nearest to it by the features of a network, with their distances and classes.
"""

from __future__ import annotations

from tf_biggan.cli import flags
from tf_biggan.cli.neighbours_settings import NeighboursConfig
from tf_biggan.cli.terminal import quiet_tensorflow


def main() -> int:
    """Runs the command; returns its exit code."""
    config = flags.parsed(NeighboursConfig)
    quiet_tensorflow()
    from tf_biggan.pictures.nearest_images import draw_neighbours

    draw_neighbours(config)
    return 0


if __name__ == "__main__":
    flags.define(NeighboursConfig)
    flags.run(main)
