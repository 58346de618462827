"""Writes a report of a training run, or of several side by side, as one HTML file.

Examples:
  python -m tf_biggan.report --run_dir=runs/quickstart
  python -m tf_biggan.report --run_dir=runs/a,runs/b --output=comparison.html

The file holds curves, sheets of samples, the best checkpoints, the nearest real images, settings,
data, machine and warning signs. It needs no other file and no network.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.report_settings import ReportConfig

if __name__ == "__main__":
    flags.run_public("report", ReportConfig)
