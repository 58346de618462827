"""Scores a model, a folder of images or an .npz file of images against real images.

Examples:
  python -m tf_biggan.evaluate --model=runs/birds
  python -m tf_biggan.evaluate --model=runs/birds --inception_weights=pt_inception.pth

By default, the command compares samples of a run with the training data of the run, by the features
of a small classifier. It trains the classifier on these data once, and downloads nothing. With
--inception_weights, the scores are FID, IS and KID.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.evaluate_settings import EvaluateConfig

if __name__ == "__main__":
    flags.run_public("evaluate", EvaluateConfig)
