"""Trains a BigGAN, or resumes the run in --run_dir if there is one.

Examples:
  python -m tf_biggan.train --flagfile=configs/quickstart.flags --run_dir=runs/digits
  python -m tf_biggan.train --flagfile=configs/quickstart.flags --run_dir=runs/digits --dry_run
  python -m tf_biggan.train --dataset=folder:/data/birds --resolution=64 --run_dir=runs/birds

The files in configs/ hold published settings. Flags after --flagfile override those in the file.
"""

from __future__ import annotations

from absl import flags as absl_flags

from tf_biggan.cli import flags
from tf_biggan.cli.cluster import shared_cluster
from tf_biggan.cli.terminal import quiet_tensorflow
from tf_biggan.cli.train_settings import TrainConfig

_RUN_DIR = flags.define_path("run_dir", "Folder of the run: checkpoints, logs and samples.")
_DRY_RUN = absl_flags.DEFINE_boolean(
    "dry_run",
    False,
    "Check the data and the settings, measure three iterations, print what the run needs and when"
    " it would end, and write nothing. (default: false)",
)


def main(config: TrainConfig) -> int:
    """Runs the command and returns its exit code."""
    quiet_tensorflow()

    if _DRY_RUN.value:
        from tf_biggan.training.preflight.dry_run import dry_run

        cluster = shared_cluster()
        for line in dry_run(config, _RUN_DIR.value):
            if cluster is None or cluster.writes:
                print(line, flush=True)
        return 0
    from tf_biggan.reporting.run_report import report_after_training
    from tf_biggan.training.interruption import leave_at_once
    from tf_biggan.training.loop import train

    train(config, _RUN_DIR.value, leave=leave_at_once, completed=report_after_training)
    return 0


if __name__ == "__main__":
    flags.run(main, TrainConfig)
