"""Writes sets of images as an .npz file or a folder of PNG files. Interrupted writes can resume.

Images are first written to the folder OUTPUT.unfinished, together with the request: the JSON values
that determine the images. A command with the same request resumes in this folder. A command with a
different request ends with an error. If the output is at an address such as gs://bucket/images, the
folder is on the local machine.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from PIL import Image

from tf_biggan import checks
from tf_biggan.cli.terminal import Progress
from tf_biggan.data.classes import ClassLookup, class_name
from tf_biggan.evaluation.features.extraction import DEFAULT_CACHE_FOLDER, cache_folder
from tf_biggan.files import file_system
from tf_biggan.files.array_files import open_npz
from tf_biggan.files.atomic import final_name, replaced, send_folder, write_text
from tf_biggan.files.file_paths import expand_home
from tf_biggan.files.json_files import describe_differences, key_of, parse_json, read_json
from tf_biggan.files.png import save_png, to_uint8
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.pictures.image_selection import ImageSelection
from tf_biggan.pictures.model_and_output import as_text
from tf_biggan.pictures.sheets_and_animations import MODES
from tf_biggan.store.opened_model import OpenedModel

SUFFIX = ".unfinished"
REQUEST_FILE = "request.json"
# Entries of a request that do not change the images.
NOT_COMPARED = ("software", "model")
IMAGES, LABELS, DESCRIPTION = "arr_0", "arr_1", "description"
UNFINISHED_FILE = "images.npy"
COPIED_BYTES = 1 << 20
FEWEST_DIGITS = 4
LONGEST_NAME = 60
_UNSAFE = re.compile(r"[^\w.-]+")


def unfinished_folder(output: str) -> str:
    """Returns the local folder in which `output` is prepared.

    The folder is beside a local output. If the output is at an address such as gs://bucket/images,
    the folder is in the cache folder, because many object stores cannot append to files.
    """
    if not file_system.is_remote(output):
        return output + SUFFIX
    caches = cache_folder()
    if file_system.is_remote(caches):
        caches = expand_home(DEFAULT_CACHE_FOLDER)
    return os.path.join(caches, "unfinished", key_of(output) + SUFFIX)


def open_unfinished(output: str, request: Mapping[str, object]) -> str:
    """Creates the unfinished folder of `output`, or opens an existing one, and returns its path.

    Raises:
      ValueError: The folder holds images of another request, or other files.
    """
    folder = unfinished_folder(output)
    there = read_request(folder)
    if there is not None:
        require_same(there, request, folder)
        return folder
    os.makedirs(folder, exist_ok=True)
    # A command that was killed at its start leaves at most a temporary file of the request.
    others = [name for name in os.listdir(folder) if final_name(name) != REQUEST_FILE]
    checks.require(
        not others,
        "the unfinished folder contains other files; remove it or use another `output`",
        path=folder,
        files=sorted(others)[:3],
    )
    write_request(folder, request)
    return folder


def remove_unfinished(output: str) -> None:
    """Removes the unfinished folder of `output`.

    The request is removed last. If the removal is interrupted, the folder therefore still shows to
    which request it belongs.
    """
    folder = unfinished_folder(output)
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        elif name != REQUEST_FILE:
            os.remove(path)
    shutil.rmtree(folder, ignore_errors=True)


def read_request(folder: str) -> dict | None:
    """Returns the request in a folder, or None if the folder has none.

    Raises:
      ValueError: The file of the request is damaged.
    """
    try:
        return read_json(os.path.join(folder, REQUEST_FILE))
    except OSError:
        return None


def write_request(folder: str, request: Mapping[str, object]) -> None:
    """Writes the request into a folder."""
    text = json.dumps(dict(request), indent=2, ensure_ascii=False) + "\n"
    write_text(os.path.join(folder, REQUEST_FILE), text)


def require_same(there: Mapping[str, object], asked: Mapping[str, object], path: str) -> None:
    """Raises a ValueError with the differences if two requests do not give the same images."""
    # The conversion to JSON and back turns tuples into lists, as in the stored request.
    asked = json.loads(json.dumps(dict(asked)))
    names = [name for name in {**there, **asked} if name not in NOT_COMPARED]
    differing = describe_differences(there, asked, names)
    checks.require(
        not differing,
        "`output` holds images that were sampled with other settings; use the same settings or"
        " another `output`",
        path=path,
        differing=differing,
    )


def _request(selection: ImageSelection, description: Mapping[str, object], written_as: str):
    """Returns the JSON values that tell whether two commands write the same images."""
    return {
        **description,
        "num_images": len(selection.seeds),
        "order_sha256": selection.sha256(),
        "written_as": written_as,
    }


class ImageArchive:
    """A `Target` that appends images to an .npy file, and packs it into an .npz file at the end.

    Args:
      path: File to write.
      selection: Images to write.
      opened: Model that makes the images.
      description: JSON values that determine the images.
    """

    def __init__(
        self,
        path: str,
        selection: ImageSelection,
        opened: OpenedModel,
        description: Mapping[str, object],
    ):
        generator = opened.generator
        shape = (*generator.image_size, generator.image_channels)
        self.path, self.request = path, _request(selection, description, "npz")
        self._labels = selection.labels
        self._header = _npy_header((len(selection.seeds), *shape))
        self._image_bytes = int(np.prod(shape))

    def finished(self):
        if not file_system.exists(self.path):
            return None
        try:
            return parse_json(str(open_npz(self.path)[DESCRIPTION].read()), self.path)
        except (KeyError, ValueError):
            rule = "`output` exists and was not written by this command; use another path"
            checks.require(False, rule, output=self.path)

    def done(self, folder):
        try:
            size = os.path.getsize(os.path.join(folder, UNFINISHED_FILE))
        except FileNotFoundError:
            return 0
        return max(0, size - len(self._header)) // self._image_bytes

    def write(self, folder, start, images):
        path = os.path.join(folder, UNFINISHED_FILE)
        if start == 0:
            with open(path, "wb") as file:
                file.write(self._header)
        with open(path, "r+b") as file:
            file.seek(len(self._header) + start * self._image_bytes)
            file.write(np.ascontiguousarray(images).data)

    def finish(self, folder):
        with (
            replaced(self.path) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        ):
            with (
                open(os.path.join(folder, UNFINISHED_FILE), "rb") as images,
                archive.open(_member(IMAGES), "w", force_zip64=True) as member,
            ):
                shutil.copyfileobj(images, member, COPIED_BYTES)
            if self._labels is not None:
                archive.writestr(_member(LABELS), _npy_bytes(self._labels))
            text = json.dumps(self.request, ensure_ascii=False)
            archive.writestr(_member(DESCRIPTION), _npy_bytes(np.array(text)))


def _member(name: str) -> zipfile.ZipInfo:
    # The current time is left out, so that the same images give the same bytes.
    member = zipfile.ZipInfo(f"{name}.npy")
    # By default, `zipfile` makes extracted files readable by their owner only.
    member.external_attr = 0o644 << 16
    return member


def _npy_header(shape) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def _npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


class ImageFolder:
    """A `Target` that writes a folder of PNG files.

    At the end, the unfinished folder is renamed. If the output is at an address such as
    gs://bucket/images, the files are copied instead, and the request is copied last.

    See `ImageArchive` for the arguments.

    Raises:
      ValueError: The selection contains an image twice.
    """

    def __init__(
        self,
        path: str,
        selection: ImageSelection,
        opened: OpenedModel,
        description: Mapping[str, object],
    ):
        self.path, self.request = path, _request(selection, description, "folder")
        self._selection = selection
        self._lookup = ClassLookup(opened.class_names, opened.generator.num_classes)
        self._digits = max(FEWEST_DIGITS, len(str(int(selection.seeds.max()))))
        self._folders = {} if selection.labels is None else self._class_folders(selection.labels)
        names = [self._name(number) for number in range(len(selection.seeds))]
        checks.require(
            len(set(names)) == len(names),
            "`classes` and `seeds` select an image twice, but a folder holds every image once;"
            " remove the repetitions",
            classes=description.get("classes"),
            seeds=description.get("seeds"),
        )
        self._names = names

    def finished(self):
        if not file_system.isdir(self.path):
            checks.require(
                not file_system.exists(self.path),
                "`output` exists and is not a folder; use another path",
                output=self.path,
            )
            return None
        request = read_request(self.path)
        if request is None and self._is_being_sent():
            return None
        checks.require(
            request is not None or not file_system.listdir(self.path),
            "`output` must be a new or empty folder, or a folder that this command wrote",
            output=self.path,
        )
        checks.require(
            request != self.request or self._is_whole(),
            "images were removed from this finished folder; remove the folder or use"
            " another `output`",
            output=self.path,
            images=len(self._names),
        )
        return request

    def _is_being_sent(self) -> bool:
        """Returns whether an earlier call was interrupted while it copied files to an address."""
        folder = unfinished_folder(self.path)
        return file_system.is_remote(self.path) and read_request(folder) == self.request

    def _is_whole(self) -> bool:
        places = file_system.walk(self.path)
        return set(self._names) <= {os.path.relpath(place, self.path) for place in places}

    def done(self, folder):
        for number, name in enumerate(self._names):
            if not os.path.exists(os.path.join(folder, name)):
                return number
        return len(self._names)

    def write(self, folder, start, images):
        for number, pixels in enumerate(images, start):
            path = os.path.join(folder, self._names[number])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            page = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
            assert page.mode == MODES[pixels.shape[-1]]
            save_png(page, path, as_text(self._describe_image(number)))

    def finish(self, folder):
        self._remove_temporary_files(folder)
        if file_system.is_remote(self.path):
            send_folder(folder, self.path, last=REQUEST_FILE)
            return
        if os.path.isdir(self.path):
            os.rmdir(self.path)
        os.rename(folder, self.path)

    def _name(self, number) -> str:
        file = f"seed{int(self._selection.seeds[number]):0{self._digits}d}.png"
        if not self._folders:
            return file
        return os.path.join(self._folders[int(self._selection.labels[number])], file)

    def _class_folders(self, labels: np.ndarray) -> dict[int, str]:
        """Returns a folder name for each class. Sorted names are in the order of the classes."""
        digits = len(str(self._lookup.num_classes - 1))
        names = {}
        for label in np.unique(labels).tolist():
            name = _UNSAFE.sub("_", class_name(label, self._lookup))[:LONGEST_NAME]
            names[label] = f"{label:0{digits}d}" + ("" if name == str(label) else f"-{name}")
        return names

    def _describe_image(self, number) -> dict[str, object]:
        """Returns the description of one image."""
        others = ("classes", "seeds", "num_images", "order_sha256", "written_as")
        description = {k: v for k, v in self.request.items() if k not in others}
        if self._selection.labels is not None:
            description["class"] = self._lookup.label(int(self._selection.labels[number]))
        return description | {"seed": int(self._selection.seeds[number])}

    def _remove_temporary_files(self, folder):
        """Removes temporary files that killed commands left behind."""
        for place, _, files in os.walk(folder):
            for file in files:
                if file.endswith(".tmp"):
                    os.remove(os.path.join(place, file))


class Target(Protocol):
    """A file or folder that images are written to.

    Attributes:
      path: Path of the finished file or folder.
      request: JSON values that determine the images.
    """

    path: str
    request: dict[str, object]

    def finished(self) -> dict | None:
        """Returns the request of a finished output at `path`, or None if there is none."""

    def done(self, folder: str) -> int:
        """Returns how many images, counted from the first, are in the unfinished folder."""

    def write(self, folder: str, start: int, images: np.ndarray) -> None:
        """Writes images, uint8 [n, H, W, C]. The first of them has the number `start`."""

    def finish(self, folder: str) -> None:
        """Turns the unfinished folder into the finished output."""


def write_images(
    target: Target, selection: ImageSelection, maker: ImageMaker, truncation: float | None
) -> str:
    """Makes and writes all images, or resumes an interrupted command.

    Args:
      target: File or folder to write.
      selection: Images to make.
      maker: `ImageMaker` of the generator.
      truncation: Truncation of the latents; None for N(0, I).

    Returns:
      A message for the user.

    Raises:
      ValueError: The output has images of another request, or cannot be written, for example
        because the disk is full. Images that were written are kept, and the same command resumes.
    """
    there = target.finished()
    if there is not None:
        require_same(there, target.request, target.path)
        remove_unfinished(target.path)
        return f"Already complete: {target.path}"
    folder, count = unfinished_folder(target.path), len(selection.seeds)
    try:
        open_unfinished(target.path, target.request)
        # Resumes at the start of a batch. Otherwise, --bn=batch would give other images than an
        # uninterrupted command.
        size = maker.global_batch_size
        start = min(count, target.done(folder)) // size * size
        progress = Progress("Sampling", count, done=start)
        seeds, conditions = selection.seeds[start:], selection.conditions(start, count)
        for images in maker.sampled_batches(seeds, 0, conditions, truncation):
            target.write(folder, start, to_uint8(images))
            start += len(images)
            progress.add(len(images))
        progress.close()
        target.finish(folder)
        remove_unfinished(target.path)
    except OSError as error:
        raise ValueError(
            f"Cannot write {target.path}: {error.strerror or error}."
            " Make it writable or free disk space, then run the same command to resume."
        ) from error
    return f"Written: {count:,} images in {target.path}"
