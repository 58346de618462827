"""Converts published weights to a model for sampling, evaluation, export and fine-tuning.

Examples:
  python -m tf_biggan.convert --input=G_ema.pth --output=models/biggan128
  python -m tf_biggan.convert --to=biggan_pytorch --input=runs/birds --output=pytorch_weights

From the tensors, the command finds the code base that wrote the weights, the architecture and all
sizes. It writes a model folder. The entry "provenance" in config.json names the origin of the
weights and all changes. With --to, the command instead converts a run or a model folder to files of
another code base.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.convert_settings import ConvertConfig

if __name__ == "__main__":
    flags.run_public("convert", ConvertConfig)
