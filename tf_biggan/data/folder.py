"""Images in a folder: one sub-folder a class, or no sub-folders and no classes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data import images
from tf_biggan.data.source import Source


class FolderSource(Source):
    """Image files by their paths, decoded when they are read."""

    def __init__(self, name: str, class_names: tuple[str, ...], paths: list[str], labels):
        super().__init__(name, class_names, labels)
        _require_decoder(paths)
        self._paths = paths
        with tf.device("CPU:0"):
            self._path_of = tf.constant(paths)

    def load(self, index, channels):
        path = self._path_of[index]
        encoded = tf.data.Dataset.from_tensors(path).map(tf.io.read_file)
        return images.decode_named(encoded, path, channels)

    def locate(self, index):
        return self._paths[index]


def open_folder(location: str, split: str | None) -> FolderSource:
    """The images of a folder; with `split`, those of its sub-folder of that name.

    Class names are the sub-folders' names in sorted order. Hidden entries and files that are no
    images by their suffix are left out. Class folders are not searched deeper, so that a folder
    of splits is not taken for a folder of classes.

    Raises:
      ValueError: no such folder; no images; images beside class folders; a class without images.
    """
    root = location if split is None else tf.io.gfile.join(location, split)
    checks.require(
        location != "" and tf.io.gfile.isdir(root),
        "`folder:PATH` must name an existing folder",
        path=root,
    )
    name = f"folder:{root}"
    entries = _visible(root)
    files = [entry for entry in entries if _is_image(entry)]
    classes = [e for e in entries if not _is_image(e) and tf.io.gfile.isdir(_join(root, e))]
    checks.require(
        not (files and classes),
        "a folder must hold either images or one sub-folder a class, not both",
        path=root,
        sub_folders=classes[:3],
        images=files[:3],
    )
    checks.require(
        bool(files or classes),
        f"a folder must hold images ({', '.join(images.SUFFIXES)}) or sub-folders of images",
        path=root,
    )
    if files:
        return FolderSource(name, (), [_join(root, file) for file in files], np.zeros(len(files)))
    return _with_classes(name, root, classes)


def _with_classes(name: str, root: str, classes: list[str]) -> FolderSource:
    paths, labels, empty = [], [], []
    for label, class_name in enumerate(classes):
        folder = _join(root, class_name)
        found = [_join(folder, file) for file in _visible(folder) if _is_image(file)]
        empty += [] if found else [class_name]
        paths += found
        labels += [label] * len(found)
    checks.require(
        not empty,
        "every class folder must hold images itself; for a folder of splits name one by `split`",
        path=root,
        without_images=empty[:3],
    )
    return FolderSource(name, tuple(classes), paths, np.array(labels))


def _require_decoder(paths: list[str]) -> None:
    webp = [path for path in paths if path.lower().endswith(".webp")]
    checks.require(
        not webp or hasattr(tf.io, "decode_webp"),
        "WebP files need a TensorFlow with tf.io.decode_webp; convert them to PNG",
        tensorflow=tf.__version__,
        files=webp[:3],
    )


def _visible(folder: str) -> list[str]:
    # Object stores end the names of folders in a slash.
    names = (entry.rstrip("/") for entry in tf.io.gfile.listdir(folder))
    return sorted(name for name in names if not name.startswith("."))


def _is_image(name: str) -> bool:
    return name.lower().endswith(images.SUFFIXES)


def _join(folder: str, entry: str) -> str:
    return tf.io.gfile.join(folder, entry)
