"""Exports a generator as a SavedModel, or as a file for ONNX Runtime, TFLite or Keras.

Examples:
  python -m tf_biggan.export --model=runs/birds --output=models/birds/1
  python -m tf_biggan.export --model=runs/birds --output=models/birds_onnx --format=onnx
  python -m tf_biggan.export --model=runs/birds --push_to=hf://OWNER/birds
  python -m tf_biggan.export --describe=models/birds/1
  python -m tf_biggan.export --serve=models/birds/1

In models/birds/1, the 1 is the version of the model. TensorFlow Serving takes the folder
models/birds. `hub.load` takes models/birds/1 and returns a module like DeepMind's on TF-Hub.
"""

from __future__ import annotations

from tf_biggan import checks
from tf_biggan.cli import flags
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.cli.terminal import quiet_tensorflow
from tf_biggan.files.file_paths import pattern_note


def main(config: ExportConfig) -> int:
    """Runs the command and returns its exit code."""
    quiet_tensorflow()
    if config.describe is not None:
        from tf_biggan.exporting.saved_model_description import description

        print(description(config.describe))
    elif config.serve is not None:
        # The server's modules import aiohttp.
        checks.require_packages(
            "The local server needs the package aiohttp. Run pip install 'tf_biggan[serve]'.",
            "aiohttp",
        )
        from tf_biggan.serving.server import serve

        serve(config.serve, config.port)
    elif config.push_to is not None:
        from tf_biggan.exporting.hub_model import push

        print(f"uploaded: {push(config)}")
    else:
        from tf_biggan.exporting.exporter import export
        from tf_biggan.exporting.serving_files import version_note

        version = version_note(config.output) if config.format == "saved_model" else None
        for note in (version, pattern_note(config.output)):
            if note:
                print(note, flush=True)
        lines = export(config)
        print(f"written: {config.output}", *lines, sep="\n")
    return 0


if __name__ == "__main__":
    flags.run(main, ExportConfig, interrupted="Interrupted; nothing was written.")
