"""Hook of MkDocs: adds pages that lie outside of docs/, and one with the help of all commands."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
# The place of each page on the site, and its file in the repository.
PAGES = {
    "index.md": "README.md",
    "BUILD_NOTES.md": "BUILD_NOTES.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "export/README.md": "export/README.md",
}
HELP_PAGE = "reference/commands.md"


def on_files(files, config):
    """Adds a page for each entry of `PAGES`, with its links seen from docs/, and the help page."""
    for place, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, place, content=text))
    files.append(File.generated(config, HELP_PAGE, content=_help_page()))
    return files


def _help_page() -> str:
    """Returns a page with the list of commands and the help of each."""
    sys.path.insert(0, str(ROOT))
    from tf_biggan.cli.commands import COMMANDS, listing

    parts = ["# Commands", _block(listing())]
    for name in COMMANDS:
        parts += [f"## {name}", _block(_output("-m", f"tf_biggan.{name}", "--help"))]
    return "\n\n".join(parts)


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


def _output(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout
