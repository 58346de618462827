"""One export that all tests of a process share."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tests.exporting.goldens import exported


@pytest.fixture(scope="session")
def export_path(tmp_path_factory):
    """Returns the path of the exported fixture hf_tiny32."""
    folder = tmp_path_factory.mktemp("exports")
    return exported("hf_tiny32", folder, licence_note="for tests only")


@pytest.fixture(scope="session")
def loaded(export_path):
    """Returns the exported fixture hf_tiny32, loaded."""
    return tf.saved_model.load(export_path)
