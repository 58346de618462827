"""Output files are checked before the work begins."""

from __future__ import annotations

import os

import pytest

from tf_biggan.pictures.model_and_output import check_output_file


def test_what_can_be_written_passes_and_leaves_nothing(tmp_path, monkeypatch):
    check_output_file(str(tmp_path / "a.PNG"), (".png",))
    monkeypatch.chdir(tmp_path)
    check_output_file("a.gif", (".png", ".gif"))
    assert os.listdir(tmp_path) == []


FAULTS = {
    "{tmp}/a.jpg": r"must end in \.png or \.gif",
    "{tmp}/folder.png": "must be a file, not a folder",
    "{tmp}/none/a.png": "the folder of `output` does not exist",
    "/proc/a.png": r"Cannot write to the folder of `output`, /proc: ",
}


@pytest.mark.parametrize("path", FAULTS)
def test_what_cannot_be_written_is_refused(path, tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match=FAULTS[path].replace("the folder", "[Tt]he folder")):
        check_output_file(path.format(tmp=tmp_path), (".png", ".gif"))
