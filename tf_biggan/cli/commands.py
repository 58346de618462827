"""Lists the commands, and runs a command for `tf-biggan NAME`. No TensorFlow is imported."""

from __future__ import annotations

import difflib
import os
import runpy
import sys
from collections.abc import Sequence

# The commands in the order in which a project uses them.
COMMANDS = {
    "prepare": "Write a data set as TFRecord files at one resolution.",
    "train": "Train a model, resume a run, or fine-tune a model.",
    "report": "Write curves, samples and settings of a run as an HTML page.",
    "evaluate": "Score a model or a set of images: FID, IS, KID and others.",
    "sample": "Write images of a model as a sheet, as files or as an animation.",
    "interpolate": "Interpolate between images, as a sheet or as an animation.",
    "invert": "Find the latent vector and class of an image.",
    "neighbours": "Write samples beside the nearest real images.",
    "convert": "Convert published weights, or a model to files of BigGAN-PyTorch.",
    "export": "Export a model for other runtimes; describe or serve an export.",
}


def listing() -> str:
    """Returns the list of commands with one line for each command."""
    lines = [f"  {name:<12} {sentence}" for name, sentence in COMMANDS.items()]
    return "\n".join(
        ["Usage: tf-biggan COMMAND [--flag=value ...]", "", *lines, ""]
        + ["`tf-biggan COMMAND --help` explains the flags of a command."]
        + ["`python -m tf_biggan.COMMAND` does the same as `tf-biggan COMMAND`."]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that the first argument names, or prints the list of commands.

    Args:
      arguments: Command line without the program. Default: the command line of this process.

    Returns:
      The exit code: 0 after printing the list, or 2 if the first argument names no command. A
      command that is run ends the process with its own exit code.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(listing())
        return 0
    name, *flags = arguments
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        message = f"There is no command {name!r}.{hint} `tf-biggan` lists the commands."
        print(message, file=sys.stderr)
        return 2
    _run(name, flags)
    return 0


def _run(name: str, flags: list[str]) -> None:
    """Runs a command like `python -m`, which searches modules in the current folder first."""
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.argv = [sys.argv[0], *flags]
    runpy.run_module(f"tf_biggan.{name}", run_name="__main__", alter_sys=True)
