"""Opens a folder of images: with a sub-folder per class, with soft labels, or without classes."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import posixpath
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data import decoding
from tf_biggan.data.soft_labels import SOFT_LABELS_FILE, SoftLabels, read_soft_labels
from tf_biggan.data.source import UNKNOWN_BYTES, Source
from tf_biggan.files import file_system

MAX_KINDS = 8
MAX_SIZES = 1000
MEAN_OF_SIZES = 16
SUB_FOLDERS = "sub-folders"


class FolderSource(Source):
    """Images in files, which are decoded when they are read.

    Args:
      root: The folder.
      class_names: Name of every class; empty if there are no classes.
      paths: Paths of the image files.
      labels: Class of every image, [N], or soft labels, [N, num_classes].
      left_out: Number of files that were left out, by their suffix.
    """

    def __init__(
        self,
        root: str,
        class_names: tuple[str, ...],
        paths: list[str],
        labels,
        left_out: Mapping[str, int],
    ):
        name = f"folder:{root}"
        super().__init__(name, class_names, labels)
        self._root = root
        if left_out:
            self.notes = (
                f"Left out of {name}: {_counted(left_out)}. Images end in"
                f" {', '.join(decoding.SUFFIXES)}.",
            )
        _require_decoder(paths)
        self._paths = paths
        with tf.device("CPU:0"):
            self._path_of = tf.constant(paths)

    def load(self, index, channels):
        path = self._path_of[index]
        encoded = tf.data.Dataset.from_tensors(path).map(tf.io.read_file)
        return decoding.decode_named(encoded, path, channels)

    def load_all(self, indices, height, width, channels):
        paths = tf.gather(self._path_of, indices)
        return decoding.decode_all(decoding.read_all(paths), paths, height, width, channels)

    def locate(self, index):
        return self._paths[index]

    @functools.cached_property
    def encoded_bytes(self):
        sizes = []
        for path in self._paths[:: -(-len(self._paths) // MEAN_OF_SIZES)]:
            # A file that has vanished is named when it is read.
            with contextlib.suppress(OSError):
                sizes.append(file_system.getsize(path))
        return max(1, sum(sizes) // len(sizes)) if sizes else UNKNOWN_BYTES

    def index_parts(self):
        start = len(_join(self._root, ""))
        for path in self._paths:
            yield path[start:].encode() + b"\0"
        # Sizes distinguish images from smaller copies. Asking for all sizes would take minutes.
        count = min(len(self._paths), MAX_SIZES)
        for number in range(count):
            path = self._paths[number * len(self._paths) // count]
            yield tf.io.gfile.stat(path).length.to_bytes(8, "little")


def open_folder(location: str, split: str | None) -> FolderSource:
    """Opens a folder of images, or its sub-folder `split`.

    The classes are the sub-folders, sorted by name. If the images are in the folder itself, there
    are no classes. If the folder has a table of soft labels (see `soft_labels`), the table names
    the classes, and its images may be in the folder and in any sub-folders. Hidden files are
    ignored. Files that do not end in one of `decoding.SUFFIXES` are left out and counted. Folders
    in class folders are left out and counted too. A folder of splits, such as train and test,
    therefore raises an error, because its sub-folders hold no images themselves.

    Raises:
      ValueError: The folder does not exist or has no images, it has both images and class folders,
        a class has no images, a name is not UTF-8, or soft labels do not fit the images.
    """
    root = location if split is None else tf.io.gfile.join(location, split)
    checks.require_utf8(root)
    if location:
        file_system.require_existing("folder of images", root, "a folder")
    checks.require(
        location != "" and tf.io.gfile.isdir(root),
        "`folder:PATH` must name a folder, not a file",
        path=root,
    )
    table = _join(root, SOFT_LABELS_FILE)
    if tf.io.gfile.exists(table):
        return _with_soft_labels(root, read_soft_labels(table))
    files, folders, left_out = _entries(root)
    checks.require(
        not (files and folders),
        "a folder of images must hold either images or one sub-folder per class; move the"
        " images into sub-folders, or the sub-folders elsewhere",
        path=root,
        sub_folders=folders[:3],
        images=files[:3],
    )
    checks.require(
        bool(files or folders),
        f"the folder holds neither images ({', '.join(decoding.SUFFIXES)}) nor sub-folders of"
        " images; check the path, or convert the files",
        path=root,
        holds=_counted(left_out) or "nothing",
    )
    if files:
        paths = [_join(root, file) for file in files]
        return FolderSource(root, (), paths, np.zeros(len(files)), left_out)
    return _with_classes(root, folders, left_out)


def _with_classes(root: str, classes: list[str], left_out: collections.Counter) -> FolderSource:
    paths, labels, empty = [], [], []
    for label, class_name in enumerate(classes):
        folder = _join(root, class_name)
        files, folders, others = _entries(folder)
        if folders:
            others[SUB_FOLDERS] += len(folders)
        if not files:
            empty.append(f"{class_name} (holds {_counted(others) or 'nothing'})")
        left_out.update(others)
        paths += [_join(folder, file) for file in files]
        labels += [label] * len(files)
    checks.require(
        not empty,
        "each sub-folder is a class and must hold images itself; remove these sub-folders"
        " or, if they hold a training and a test set, choose one by --split",
        path=root,
        without_images=empty[:3],
    )
    return FolderSource(root, tuple(classes), paths, np.array(labels), left_out)


def _with_soft_labels(root: str, table: SoftLabels) -> FolderSource:
    """Opens the images that a table of soft labels lists, in the folder and its sub-folders."""
    left_out, there = collections.Counter(), set()
    folders = {"", *map(posixpath.dirname, table.files)}
    for folder in sorted(folders):
        path = _join(root, folder) if folder else root
        if not tf.io.gfile.isdir(path):
            continue
        files, sub_folders, others = _entries(path)
        there.update(posixpath.join(folder, file) for file in files)
        left_out.update(others)
        named = {posixpath.join(folder, name) for name in sub_folders}
        left_out[SUB_FOLDERS] += sum(
            not any(other == name or other.startswith(f"{name}/") for other in folders)
            for name in named
        )
    left_out[".csv"] -= 1
    for file, line in zip(table.files, table.lines, strict=True):
        checks.require(
            file in there,
            f"the table of soft labels names a file that is no image of the folder (images end in"
            f" {', '.join(decoding.SUFFIXES)}); correct the row or add the image",
            table=table.path,
            line=line,
            image=file,
        )
    missing = sorted(there.difference(table.files))
    checks.require(
        not missing,
        "every image must have a row in the table of soft labels; add rows, or remove the images",
        table=table.path,
        without_row=missing[: checks.MAX_LISTED],
        count=len(missing),
    )
    paths = [_join(root, file) for file in table.files]
    return FolderSource(root, table.class_names, paths, table.weights, +left_out)


def _require_decoder(paths: list[str]) -> None:
    webp = [path for path in paths if path.lower().endswith(".webp")]
    checks.require(
        not webp or hasattr(tf.io, "decode_webp"),
        "this version of TensorFlow cannot read WebP files; install a version with"
        " tf.io.decode_webp, or convert them to PNG",
        tensorflow=tf.__version__,
        files=webp[:3],
    )


def _entries(folder: str) -> tuple[list[str], list[str], collections.Counter]:
    """Returns (image files, sub-folders, number of other files by suffix) of a folder."""
    names = _visible(folder)
    files = [name for name in names if _is_image(name)]
    others = [name for name in names if not _is_image(name)]
    folders = [name for name in others if tf.io.gfile.isdir(_join(folder, name))]
    found = set(folders)
    suffixes = (os.path.splitext(name)[1].lower() for name in others if name not in found)
    return files, folders, collections.Counter(suffix or "without suffix" for suffix in suffixes)


def _counted(left_out: Mapping[str, int]) -> str:
    """Returns counts by suffix in descending order, such as "12 .tif, 1 .txt"."""
    kinds = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count:,} {suffix}" for suffix, count in kinds[:MAX_KINDS]]
    more = sum(count for _, count in kinds[MAX_KINDS:])
    return ", ".join([*shown, f"{more:,} others"] if more else shown)


def _visible(folder: str) -> list[str]:
    try:
        listed = tf.io.gfile.listdir(folder)
    except UnicodeDecodeError:
        checks.require_utf8(*(os.path.join(folder, name) for name in os.listdir(folder)))
        raise
    # In object stores, the names of folders end in a slash.
    names = (entry.rstrip("/") for entry in listed)
    return sorted(name for name in names if not name.startswith("."))


def _is_image(name: str) -> bool:
    return name.lower().endswith(decoding.SUFFIXES)


def _join(folder: str, entry: str) -> str:
    return tf.io.gfile.join(folder, entry)
