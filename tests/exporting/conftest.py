"""One export for all tests of a process."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tests.exporting.goldens import exported


@pytest.fixture(scope="session")
def export_path(tmp_path_factory):
    """The fixture hf_tiny32, exported."""
    folder = tmp_path_factory.mktemp("exports")
    return exported("hf_tiny32", folder, licence_note="for tests only")


@pytest.fixture(scope="session")
def loaded(export_path):
    """The same, loaded."""
    return tf.saved_model.load(export_path)
