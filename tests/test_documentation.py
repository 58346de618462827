"""README.md and docs/: flags exist, links have targets, and paragraphs are short."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

from tests.command_flags import flags_of_commands
from tests.documentation import PAGES, ROOT, package_commands
from tf_biggan.cli.commands import COMMANDS

OTHER_PAGES = ("BUILD_NOTES.md", "CHANGELOG.md", "CONTRIBUTING.md")
LONGEST_README = 200
LONGEST_PARAGRAPH = 4
MOST_WORDS_OF_NOTES = 2500
# Flags of other programs, and of the scripts in benchmarks/, that the pages mention.
FLAGS_OF_OTHERS = {"G_ortho", "G_nl", "norm_style", "G_param", "num_G_SV_itrs", "help", "strict"}
FLAGS_OF_OTHERS |= {"base_channels", "setting"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
FLAG = re.compile(r"`--(?:no)?(\w+)|(?<=[\s`])--(\w+)=")


@pytest.fixture(scope="module")
def flags():
    """Returns the names of the flags of every command."""
    return flags_of_commands()


@pytest.mark.parametrize("page", [*PAGES, "export/README.md"])
def test_every_command_has_only_flags_that_exist(page, flags):
    for name, arguments in package_commands(page):
        assert name in COMMANDS
        for argument in arguments:
            flag = argument.removeprefix("--").partition("=")[0]
            known = flags[name] | {"flagfile"}
            assert argument.startswith("--"), f"{page}: {name} {argument}"
            assert {flag, flag.removeprefix("no")} & known, f"{page}: {name} has no --{flag}"


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES])
def test_every_flag_that_is_mentioned_exists(page, flags):
    every = set().union(*flags.values(), FLAGS_OF_OTHERS, {"flagfile"})
    for match in FLAG.finditer((ROOT / page).read_text(encoding="utf-8")):
        name = match[1] or match[2]
        assert {name, f"no{name}"} & every, f"{page} mentions --{name}"


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES])
def test_every_relative_link_leads_to_a_file(page):
    folder = (ROOT / page).parent
    for target in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        path = target.partition("#")[0]
        if "://" in target or not path:
            continue
        # Pages outside of docs/ are pages of the site too.
        assert (folder / path).exists() or (ROOT / path).exists(), f"{page}: {target}"


def paragraphs(text: str) -> list[list[str]]:
    """Returns the paragraphs and list items of a page, without code, tables and headings."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found, current = [], []
    for line in [*text.split("\n"), ""]:
        if not line.strip() or line.startswith(("|", "#", "<!--", "![")):
            found.append(current)
            current = []
        elif line.lstrip().startswith("- "):
            found.append(current)
            current = [line]
        else:
            current.append(line)
    return [paragraph for paragraph in found if paragraph]


@pytest.mark.parametrize("page", PAGES)
def test_no_paragraph_is_longer_than_four_lines(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    long = [p[0] for p in paragraphs(text) if len(p) > LONGEST_PARAGRAPH]
    assert not long


def test_readme_and_notes_are_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < LONGEST_README
    assert len((ROOT / "BUILD_NOTES.md").read_text(encoding="utf-8").split()) < MOST_WORDS_OF_NOTES


@pytest.mark.slow
def test_the_site_builds_without_a_broken_link(tmp_path):
    if not importlib.util.find_spec("mkdocs"):
        pytest.skip("needs pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "networks" / "index.html").read_text(encoding="utf-8")
    assert "latent_injection" in page
