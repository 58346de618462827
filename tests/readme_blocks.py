"""Code in README.md that tests run."""

from __future__ import annotations

import pathlib

README = pathlib.Path(__file__).parents[1] / "README.md"


def readme_block(mark: str) -> str:
    """Returns the code block that follows the comment `<!-- MARK -->`."""
    after = README.read_text(encoding="utf-8").split(f"<!-- {mark} -->\n", 1)[1]
    return after.split("\n", 1)[1].split("```", 1)[0]
