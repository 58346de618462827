"""Scores a model, a folder of images or an .npz file against real images.

Examples:
  python -m tf_biggan.evaluate --model=runs/birds
  python -m tf_biggan.evaluate --model=runs/birds --inception_weights=pt_inception.pth

By default a run is scored against its own data with a small classifier, which is trained once on
these data; nothing is downloaded. With inception_weights the scores are FID, IS and KID.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.evaluate_settings import EvaluateConfig

if __name__ == "__main__":
    flags.run_public("evaluate", EvaluateConfig)
