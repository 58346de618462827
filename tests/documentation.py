"""Code and commands in README.md and docs/, which tests check and run.

A comment in the line before a code block tells what tests do with it:

- `<!-- not run: REASON -->`: the commands are only checked for unknown flags.
- `<!-- run -->`: the Python code is run.
- `<!-- NAME.py -->`, `<!-- NAME.json -->`: the block is a file that other commands need.
- another comment names the block for a test that looks for it.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ("README.md", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/*.md")))
NOT_RUN = "not run:"
SHELL = "sh"
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>.*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)```", re.DOTALL
)
_IN_TABLE = re.compile(r"^\|.*?`(?P<text>python -m tf_biggan[^`]*)`", re.MULTILINE)
_COMMAND = re.compile(r"python3? -m tf_biggan\.(\w+)(.*)")


@dataclasses.dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes:
      mark: text of the comment before it; "" if there is none.
      language: such as "sh" or "python".
      text: code.
    """

    mark: str
    language: str
    text: str

    def commands(self) -> list[str]:
        """Returns the commands of a shell block, each in one line."""
        return [line for line in self.text.replace("\\\n", " ").split("\n") if line.strip()]

    @property
    def is_run(self) -> bool:
        """Whether a test runs the commands of this shell block."""
        return self.language == SHELL and not self.mark.startswith(NOT_RUN)


def blocks(page: str) -> list[Block]:
    """Returns the code blocks of a page, and its commands in tables, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [
        (match.start(), Block(match["mark"] or "", match["language"], match["text"]))
        for match in _BLOCK.finditer(text)
    ]
    found += [
        (match.start(), Block("", SHELL, match["text"])) for match in _IN_TABLE.finditer(text)
    ]
    return [block for _, block in sorted(found, key=lambda pair: pair[0])]


def marked_block(page: str, mark: str) -> str:
    """Returns the code block that follows the comment `<!-- MARK -->`."""
    (block,) = [block for block in blocks(page) if block.mark == mark]
    return block.text


def package_commands(page: str) -> list[tuple[str, list[str]]]:
    """Returns (name, arguments) for every command of the package on a page."""
    found = []
    for block in blocks(page):
        for line in block.commands() if block.language == SHELL else ():
            match = _COMMAND.search(line)
            if match:
                found.append((match[1], shlex.split(match[2], comments=True)))
    return found
