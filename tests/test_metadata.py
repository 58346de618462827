"""The metadata of the package: licence, notices, version, console script, files and extras."""

from __future__ import annotations

import fnmatch
import hashlib
import pathlib
import tomllib

import pytest

import tf_biggan

ROOT = pathlib.Path(tf_biggan.__file__).parents[1]
# SHA-256 of https://www.apache.org/licenses/LICENSE-2.0.txt.
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


@pytest.fixture(scope="module")
def metadata():
    """Returns the content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_licence_and_the_notices_of_bundled_data_are_declared(metadata):
    project = metadata["project"]
    assert project["license"] == "Apache-2.0"
    package = ROOT / "tf_biggan"
    notices = {path.relative_to(ROOT).as_posix() for path in package.rglob("*attribution.txt")}
    assert len(notices) == 2 and set(project["license-files"]) == {"LICENSE", *notices}
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2
    assert "license: Apache-2.0" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_version_stands_in_one_place(metadata):
    assert metadata["project"]["dynamic"] == ["version"]
    assert metadata["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "tf_biggan.__version__"}
    text = (ROOT / "tf_biggan" / "__init__.py").read_text(encoding="utf-8")
    # setuptools reads the version from the text, without importing the package.
    assert f'\n__version__ = "{tf_biggan.__version__}"\n' in text


def test_the_script_runs_the_list_of_commands(metadata):
    assert metadata["project"]["scripts"] == {"tf-biggan": "tf_biggan.cli.commands:main"}


def test_every_file_of_the_package_is_installed(metadata):
    patterns = metadata["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "tf_biggan").rglob("*"):
        if path.suffix in (".py", ".pyc") or path.is_dir():
            continue
        package = ".".join(path.parent.relative_to(ROOT).parts)
        names = patterns.get(package, [])
        assert any(fnmatch.fnmatch(path.name, name) for name in names), path
