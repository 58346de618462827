"""Resolves handles of models: paths, handles of TensorFlow Hub and of the Hugging Face Hub.

`open_model`, `convert` and fine-tuning resolve the handle that a user gives. All other code works
with folders and does not know where they came from.
"""

from __future__ import annotations

import dataclasses
import http.client
import warnings
import zlib

import tensorflow as tf

from tf_biggan.cli.terminal import one_line
from tf_biggan.store import hugging_face

WEB = ("http://", "https://")
ARCHIVES = (".tar", ".tar.gz", ".tgz")
# Errors that a download or the extraction of its archive can raise.
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    http.client.HTTPException,
    zlib.error,
    tf.errors.OpError,
)


@dataclasses.dataclass(frozen=True)
class ResolvedHandle:
    """Place of a model's files, and the model's name.

    Attributes:
      path: Path of the file or folder, which need not exist if the handle is a path.
      name: Name for messages and provenance. With this name, the same files can be found again.
    """

    path: str
    name: str


def resolve(handle: str) -> ResolvedHandle:
    """Returns the place of a model's files. A model in a hub is downloaded first.

    Args:
      handle: A path; hf://OWNER/NAME[@REVISION]; or a handle that `tensorflow_hub.resolve` accepts:
        the http or https address of a module, or the path of an archive in a bucket.

    Raises:
      ValueError: The model cannot be downloaded. The message is one line.
    """
    if handle.startswith(hugging_face.SCHEME):
        folder, address = hugging_face.download(hugging_face.Address.parse(handle))
        return ResolvedHandle(folder, str(address))
    is_archive = handle.startswith("gs://") and handle.endswith(ARCHIVES)
    if handle.startswith(WEB) or is_archive:
        return ResolvedHandle(_from_tensorflow_hub(handle), handle)
    return ResolvedHandle(handle, handle)


def _from_tensorflow_hub(handle: str) -> str:
    """Returns the folder in tensorflow_hub's cache that holds a module."""
    with warnings.catch_warnings():
        # tensorflow_hub imports pkg_resources, whose deprecation warning is of no use to the user.
        warnings.simplefilter("ignore")
        # The import takes a second, and most models are local.
        import tensorflow_hub as hub
        from tensorflow_hub.resolver import tfhub_cache_dir

    try:
        return hub.resolve(handle)
    except UNREADABLE as error:
        raise ValueError(
            f"Cannot download the model {handle}: {one_line(str(error)) or type(error).__name__}."
            " Check the handle and the internet connection. Downloaded models are kept in"
            f" {tfhub_cache_dir(use_temp=True)}; set TFHUB_CACHE_DIR to use another folder."
        ) from error
