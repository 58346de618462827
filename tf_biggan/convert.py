"""Converts published weights to a model for sampling, evaluation, export and fine-tuning.

Examples:
  python -m tf_biggan.convert --input=G_ema.pth --output=models/biggan128
  python -m tf_biggan.convert --to=biggan_pytorch --input=runs/birds --output=pytorch_weights

The command finds the code base, the architecture and all sizes from the tensors. It writes a model
folder. The entry "provenance" in config.json names the origin of the weights and all changes.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.convert_settings import ConvertConfig

if __name__ == "__main__":
    flags.run_public("convert", ConvertConfig)
