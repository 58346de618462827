"""Scores a model, a folder of images or an npz: python -m tf_biggan.evaluate --model=RUN

Without other flags a run is scored against its own data by a small classifier that is trained once
on them: no download. With --inception_weights=PATH the scores are FID, IS and KID.
"""

from __future__ import annotations

from tf_biggan.cli import flags
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.cli.terminal import quiet_tensorflow


def main() -> int:
    """Runs the command; returns its exit code."""
    config = flags.parsed(EvaluateConfig)
    quiet_tensorflow()
    from tf_biggan.evaluation.run_evaluation import evaluate

    evaluate(config)
    return 0


if __name__ == "__main__":
    flags.define(EvaluateConfig)
    flags.run(main)
