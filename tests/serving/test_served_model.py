"""Finding the versions of a model in a folder."""

import pytest

from tf_biggan.serving.served_model import find_versions


@pytest.fixture
def base(tmp_path):
    for name in ("2", "10", "latest", "3"):
        (tmp_path / "birds" / name).mkdir(parents=True)
    for name in ("2", "10", "latest"):
        (tmp_path / "birds" / name / "saved_model.pb").write_bytes(b"")
    return tmp_path / "birds"


def test_versions_of_a_base_folder_are_its_numbers_with_a_saved_model(base):
    found = find_versions(f"{base}/")
    assert (found.name, found.newest) == ("birds", 10)
    assert found.folders == {2: str(base / "2"), 10: str(base / "10")}


def test_a_numbered_saved_model_has_the_name_above_it(base):
    found = find_versions(str(base / "2"))
    assert (found.name, dict(found.folders)) == ("birds", {2: str(base / "2")})


def test_another_saved_model_is_version_one_of_its_own_name(base):
    found = find_versions(str(base / "latest"))
    assert (found.name, dict(found.folders)) == ("latest", {1: str(base / "latest")})


@pytest.mark.parametrize("name", ["birds/3", "birds/2/saved_model.pb"])
def test_a_path_without_a_saved_model_is_refused(base, name):
    with pytest.raises(ValueError, match=r"holds neither a saved_model\.pb nor .* Received"):
        find_versions(str(base.parent / name))
