"""Trains a BigGAN: python -m tf_biggan.train --flagfile=configs/quickstart.flags --run_dir=RUN

Called again with the same run_dir it goes on where it stopped. Every setting is a flag; files under
configs/ hold published sets of them.
"""

from __future__ import annotations

from tf_biggan.cli import flags
from tf_biggan.cli.terminal import quiet_tensorflow
from tf_biggan.cli.train_settings import TrainConfig

_RUN_DIR = flags.define_path("run_dir", "folder of the run: checkpoints, logs, samples")


def main() -> int:
    """Runs the command; returns its exit code."""
    config = flags.parsed(TrainConfig)
    quiet_tensorflow()
    from tf_biggan.training.interruption import leave_at_once
    from tf_biggan.training.loop import train

    train(config, _RUN_DIR.value, leave=leave_at_once)
    return 0


if __name__ == "__main__":
    flags.define(TrainConfig)
    flags.run(main, required=("run_dir",))
