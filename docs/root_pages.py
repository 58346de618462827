"""Hook of MkDocs: adds the pages that lie outside of docs/, with their links seen from docs/."""

from __future__ import annotations

import pathlib

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


def on_files(files, config):
    """Adds a page for each entry of `PAGES`."""
    for place, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, place, content=text))
    return files
