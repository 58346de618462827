"""Writes a report of a training run, or a comparison of several runs, as one HTML file.

Examples:
  python -m tf_biggan.report --run_dir=runs/quickstart
  python -m tf_biggan.report --run_dir=runs/a,runs/b --output=comparison.html

The file shows warning signs, the best checkpoints, curves, sheets of samples, the nearest real
images, settings, data and machine. A browser shows it without other files and without an internet
connection.
"""

from tf_biggan.cli import flags
from tf_biggan.cli.report_settings import ReportConfig

if __name__ == "__main__":
    flags.run_public("report", ReportConfig)
