"""Exports a generator as a SavedModel: python -m tf_biggan.export --model=M --output=models/birds/1

The folder works with tensorflow_hub.load, as DeepMind's modules do, and with TensorFlow Serving,
which is pointed at models/birds. --describe=DIR prints what an export is; --serve=DIR tries it.
"""

from __future__ import annotations

from tf_biggan.cli import flags
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.cli.terminal import quiet_tensorflow
from tf_biggan.files.plain_folder import pattern_note


def main() -> int:
    """Runs the command; returns its exit code."""
    config = flags.parsed(ExportConfig)
    quiet_tensorflow()
    if config.describe is not None:
        from tf_biggan.exporting.model_card import description

        print(description(config.describe))
    elif config.serve is not None:
        from tf_biggan.serving.server import serve

        serve(config.serve, config.port)
    else:
        from tf_biggan.exporting.exporter import export
        from tf_biggan.exporting.serving_files import version_note

        for note in (version_note(config.output), pattern_note(config.output)):
            if note:
                print(note, flush=True)
        lines = export(config)
        print(f"written: {config.output}", *lines, sep="\n")
    return 0


if __name__ == "__main__":
    flags.define(ExportConfig)
    flags.run(main, interrupted="Interrupted; nothing was written.")
