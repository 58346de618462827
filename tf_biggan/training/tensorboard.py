"""TensorBoard's event files, written without the package tensorboard.

tf.summary.scalar and tf.summary.image need that package, which TensorFlow does not install. Event
files are TFRecords of public protocol buffers, so they are written as that.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.core.framework import summary_pb2

FOLDER = "tensorboard"
FORMAT = "brain.Event:2"


class TensorBoardLog:
    """Scalars and images in RUN/tensorboard, for `tensorboard --logdir RUN`.

    Every process of a run writes a file of its own. It begins by telling TensorBoard to forget what
    earlier ones wrote after the checkpoint.

    Args:
      run_dir: folder of the run. Local or remote.
      iteration: the last iteration whose events stay; 0 for a new run.
    """

    def __init__(self, run_dir: str, iteration: int = 0):
        folder = tf.io.gfile.join(run_dir, FOLDER)
        tf.io.gfile.makedirs(folder)
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        # TensorBoard reads files in the order of their names, which must be that of their making.
        name = f"events.out.tfevents.{seconds:010d}.{nanoseconds:09d}.{socket.gethostname()}"
        self._writer = tf.io.TFRecordWriter(tf.io.gfile.join(folder, name))
        self._write(file_version=FORMAT)
        session = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        self._write(step=iteration + 1, session_log=session)

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Writes numbers by tag; a tag's part before "/" groups it."""
        made = [
            _value(tag, np.float32(value), "scalars", summary_pb2.DATA_CLASS_SCALAR)
            for tag, value in values.items()
        ]
        self._write(step=iteration, summary=tf.compat.v1.Summary(value=made))

    def image(self, iteration: int, tag: str, image: Image.Image) -> None:
        """Writes one image."""
        png = io.BytesIO()
        image.save(png, format="PNG")
        # The plugin's layout: width and height as text, then the encoded images.
        content = [str(image.width).encode(), str(image.height).encode(), png.getvalue()]
        value = _value(tag, content, "images", summary_pb2.DATA_CLASS_BLOB_SEQUENCE)
        self._write(step=iteration, summary=tf.compat.v1.Summary(value=[value]))

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, **fields) -> None:
        event = tf.compat.v1.Event(wall_time=time.time(), **fields)
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def _value(tag, content, plugin, data_class):
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin),
        data_class=data_class,
    )
    tensor = tf.make_tensor_proto(content)
    return tf.compat.v1.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
