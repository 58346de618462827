"""TensorFlow starts silently, and error messages are reduced to one line."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from tf_biggan.cli.terminal import one_line, quiet_tensorflow

MESSAGE = "`x` must be good. Received: x=3."


class Refusing(keras.layers.Layer):
    def call(self, inputs):
        raise ValueError(MESSAGE)


class Outer(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = Refusing()

    def call(self, inputs):
        return self.inner(inputs)


def map_refusing(inputs):
    def refuse(_):
        raise ValueError(MESSAGE)

    return tf.data.Dataset.range(3).map(refuse)


@pytest.mark.parametrize(
    "call",
    [Outer(), tf.function(Outer()), map_refusing],
    ids=["layer", "layer in a graph", "data set"],
)
def test_wrapping_is_taken_off(call):
    with pytest.raises(ValueError) as caught:
        call(tf.ones((1, 2)))
    assert len(str(caught.value).splitlines()) > 3
    assert one_line(str(caught.value)) == MESSAGE


def test_other_messages_stay_but_for_line_ends():
    assert one_line("First: a.\n    Second: b.") == "First: a. Second: b."


def quiet_start(code: str, **environment) -> subprocess.CompletedProcess:
    program = f"from tf_biggan.cli.terminal import quiet_tensorflow\n{code}"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def noisy(tmp_path, monkeypatch):
    """Puts a module `tensorflow` on sys.path that writes to descriptor 2 and can fail."""
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'loading\\n')\n"
        "if os.environ.get('FAIL'): raise ImportError('no')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_what_is_printed_while_loading_is_dropped(noisy):
    code = "import os\nquiet_tensorflow()\nos.write(2, b'after')"
    assert quiet_start(code, TF_CPP_MIN_LOG_LEVEL="3").stderr == "after"


def test_who_asks_for_logs_gets_them(noisy):
    code = "quiet_tensorflow()\nimport tensorflow"
    assert quiet_start(code, TF_CPP_MIN_LOG_LEVEL="0").stderr == "loading\n"


def test_what_is_printed_comes_back_if_loading_fails(noisy):
    failed = quiet_start("quiet_tensorflow()", TF_CPP_MIN_LOG_LEVEL="3", FAIL="1")
    assert failed.returncode == 1
    assert failed.stderr.startswith("loading\n") and "ImportError: no" in failed.stderr


def test_a_second_call_does_nothing(capfd):
    quiet_tensorflow()
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
