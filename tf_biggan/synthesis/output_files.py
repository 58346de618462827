"""Where pictures go, checked before the work begins."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tf_biggan import checks


def check_output_file(path: str, endings: Sequence[str]) -> None:
    """Raises ValueError unless a file of one of these endings can be written at `path`."""
    folder = os.path.dirname(path) or "."
    checks.require(
        path.lower().endswith(tuple(endings)),
        f"`output` must end in {' or '.join(endings)}",
        output=path,
    )
    checks.require(not os.path.isdir(path), "`output` must be a file, not a folder", output=path)
    checks.require(os.path.isdir(folder), "the folder of `output` must exist", output=path)
    checks.require(
        os.access(folder, os.W_OK), "the folder of `output` must be writable", output=path
    )
