"""Keeps TensorFlow's start quiet, and reduces error messages to one line."""

from __future__ import annotations

import os
import re
import sys
import tempfile

from absl import logging

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
ERRORS_ONLY = "3"
_AUTOGRAPH = re.compile(r"^in user code:.*\n    [\w.]+: ", re.DOTALL)
_KERAS = re.compile(r"Exception encountered when calling .*?\x1b\[1m(.*?)\x1b\[0m.*", re.DOTALL)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def quiet_tensorflow() -> None:
    """Imports TensorFlow quietly for a command, whose absl log then shows errors only."""
    if import_tensorflow_quietly():
        # Otherwise, absl's app would also print information, such as how long saving took.
        logging.set_verbosity(logging.ERROR)


def import_tensorflow_quietly() -> bool:
    """Imports TensorFlow without the lines that its libraries print while they are loaded.

    They go to file descriptor 2 before any setting of TensorFlow's logs is read. If the import
    fails, they are printed after all.

    Returns:
      False if the environment variable TF_CPP_MIN_LOG_LEVEL has a value other than 3. TensorFlow is
      not imported then, and may print what it likes.
    """
    if os.environ.setdefault(LOG_LEVEL, ERRORS_ONLY) != ERRORS_ONLY:
        return False
    if "tensorflow" in sys.modules:
        return True
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            os.dup2(stderr, 2)
            aside.seek(0)
            os.write(2, aside.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    return True


def one_line(message: str) -> str:
    """Returns an error message in one line, without the additions of Keras and AutoGraph."""
    message = _AUTOGRAPH.sub("", message)
    message = _KERAS.sub(r"\1", message)
    return " ".join(_ESCAPES.sub("", message).split())
