"""A folder beside an output that is not complete yet, and the request that it belongs to."""

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
from tf_biggan.cli.progress import Progress
from tf_biggan.data.classes import ClassLookup
from tf_biggan.files.atomic import replaced, write_text
from tf_biggan.files.json_files import parse_json, read_json
from tf_biggan.files.npz_files import open_npz
from tf_biggan.files.png import save_png, to_uint8
from tf_biggan.generation.end_points import class_name
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.pictures.image_selection import ImageSelection
from tf_biggan.pictures.models import as_text
from tf_biggan.pictures.sheets import MODES
from tf_biggan.store.opened_model import OpenedModel

SUFFIX = ".unfinished"
REQUEST_FILE = "request.json"
# Where a model lies or what wrote the images does not change them.
UNSEEN = ("software", "model")
LONGEST = 60
_OF_A_START = re.compile(rf"{re.escape(REQUEST_FILE)}\.\d+\.tmp")


def unfinished_folder(output: str) -> str:
    """The folder in which `output` is made."""
    return output + SUFFIX


def begin(output: str, request: Mapping[str, object]) -> str:
    """Makes the folder in which `output` is made, or goes on with it; returns its path.

    Raises:
      ValueError: it belongs to another request.
    """
    folder = unfinished_folder(output)
    there = read_request(folder)
    if there is not None:
        require_same(there, request, folder)
        return folder
    os.makedirs(folder, exist_ok=True)
    # A command that was killed before it had a request left a temporary file of it at most.
    others = [name for name in os.listdir(folder) if not _OF_A_START.fullmatch(name)]
    checks.require(
        not others,
        "the folder must be an interrupted command's, or empty",
        path=folder,
        holds=sorted(others)[:3],
    )
    write_request(folder, request)
    return folder


def discard(output: str) -> None:
    """Removes the folder in which `output` was made.

    The request goes last: until then the folder says what it is.
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
    """Returns the request that a folder belongs to; None if it has none.

    Raises:
      ValueError: the request is damaged; the message names the file.
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
    """Raises ValueError naming what differs unless both requests give the same images."""
    # As JSON, which knows no tuples.
    asked = json.loads(json.dumps(dict(asked)))
    names = [name for name in {**there, **asked} if name not in UNSEEN]
    differing = [
        f"{name} {_brief(there.get(name))} there, {_brief(asked.get(name))} now"
        for name in names
        if there.get(name) != asked.get(name)
    ]
    checks.require(
        not differing,
        "these are images of another request, which goes on with its own settings; choose another"
        " `output`",
        path=path,
        differing="; ".join(differing),
    )


def _brief(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]}.."


IMAGES, LABELS, DESCRIPTION = "arr_0", "arr_1", "description"
UNFINISHED_FILE = "images.npy"
COPIED_BYTES = 1 << 20


class ImageArchive:
    """A `Target`: a plain .npy grows in the unfinished folder and is packed in the end.

    Args:
      path: the .npz.
      selection: what will be written.
      opened: by what model.
      description: JSON values that the images follow from.
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
        self.path = path
        self.request = {
            **description,
            "num_images": len(selection.seeds),
            "order_sha256": selection.sha256(),
            "written_as": "npz",
        }
        self._labels = selection.labels
        self._header = _npy_header((len(selection.seeds), *shape))
        self._image_bytes = int(np.prod(shape))

    def finished(self):
        if not os.path.exists(self.path):
            return None
        try:
            return parse_json(str(open_npz(self.path)[DESCRIPTION].read()), self.path)
        except (KeyError, ValueError):
            rule = "`output` must be new, or what this command wrote; choose another"
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
    # Without the time of day: the same images are the same bytes.
    member = zipfile.ZipInfo(f"{name}.npy")
    # `zipfile` would let only the owner read what is unpacked.
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


FEWEST_DIGITS = 4
LONGEST_NAME = 60
_UNSAFE = re.compile(r"[^\w.-]+")


class ImageFolder:
    """A `Target`: the unfinished folder becomes the folder.

    Args:
      path: the folder.
      selection: what will be written.
      opened: by what model.
      description: JSON values that the images follow from.

    Raises:
      ValueError: an image is asked for twice.
    """

    def __init__(
        self,
        path: str,
        selection: ImageSelection,
        opened: OpenedModel,
        description: Mapping[str, object],
    ):
        self.path = path
        self.request = {
            "order_sha256": selection.sha256(),
            **description,
            "num_images": len(selection.seeds),
            "written_as": "folder",
        }
        self._selection = selection
        self._lookup = ClassLookup(opened.class_names, opened.generator.num_classes)
        self._digits = max(FEWEST_DIGITS, len(str(int(selection.seeds.max()))))
        self._folders = {} if selection.labels is None else self._class_folders(selection.labels)
        names = [self._name(number) for number in range(len(selection.seeds))]
        checks.require(
            len(set(names)) == len(names),
            "in a folder every class and seed must be named once",
            classes=description.get("classes"),
            seeds=description.get("seeds"),
        )
        self._names = names

    def finished(self):
        if not os.path.isdir(self.path):
            checks.require(
                not os.path.exists(self.path), "`output` must be a folder or new", output=self.path
            )
            return None
        request = read_request(self.path)
        checks.require(
            request is not None or not os.listdir(self.path),
            "`output` must be new, empty, or what this command wrote",
            output=self.path,
        )
        checks.require(
            request != self.request or self.done(self.path) == len(self._names),
            "a complete folder must have all its images; another `output` would be accepted",
            output=self.path,
            images=len(self._names),
        )
        return request

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
            save_png(page, path, as_text(self._of_image(number)))

    def finish(self, folder):
        self._remove_halves(folder)
        if os.path.isdir(self.path):
            os.rmdir(self.path)
        os.rename(folder, self.path)

    def _name(self, number) -> str:
        file = f"seed{int(self._selection.seeds[number]):0{self._digits}d}.png"
        if not self._folders:
            return file
        return os.path.join(self._folders[int(self._selection.labels[number])], file)

    def _class_folders(self, labels: np.ndarray) -> dict[int, str]:
        """Names that sort as the classes do, so that readers number the classes alike."""
        digits = len(str(self._lookup.num_classes - 1))
        names = {}
        for label in np.unique(labels).tolist():
            name = _UNSAFE.sub("_", class_name(label, self._lookup))[:LONGEST_NAME]
            names[label] = f"{label:0{digits}d}" + ("" if name == str(label) else f"-{name}")
        return names

    def _of_image(self, number) -> dict[str, object]:
        """The description of one image."""
        others = ("classes", "seeds", "num_images", "order_sha256", "written_as")
        description = {k: v for k, v in self.request.items() if k not in others}
        if self._selection.labels is not None:
            description["class"] = self._lookup.label(int(self._selection.labels[number]))
        return description | {"seed": int(self._selection.seeds[number])}

    def _remove_halves(self, folder):
        """Removes temporary files of writes that were killed."""
        for place, _, files in os.walk(folder):
            for file in files:
                if file.endswith(".tmp"):
                    os.remove(os.path.join(place, file))


class Target(Protocol):
    """What images are written to.

    Attributes:
      path: its name once it is complete.
      request: JSON values that the images follow from.
    """

    path: str
    request: dict[str, object]

    def finished(self) -> dict | None:
        """The request of what is complete at `path`; None where nothing is."""

    def done(self, folder: str) -> int:
        """How many images, from the first on, are written in the unfinished folder."""

    def write(self, folder: str, start: int, images: np.ndarray) -> None:
        """Writes images, uint8 [n, H, W, C], the first of which is number `start`."""

    def finish(self, folder: str) -> None:
        """Gives what is in the folder its final name."""


def stream(
    target: Target, selection: ImageSelection, maker: ImageMaker, truncation: float | None
) -> str:
    """Writes all images; returns what to tell the user.

    Raises:
      ValueError: there are images of another request, or the disk is full; what is written stays,
        and the same request goes on with it.
    """
    there = target.finished()
    if there is not None:
        require_same(there, target.request, target.path)
        discard(target.path)
        return f"There already: {target.path}"
    folder, count = unfinished_folder(target.path), len(selection.seeds)
    try:
        begin(target.path, target.request)
        # Whole batches, so that statistics of batches are those of an uninterrupted command.
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
        discard(target.path)
    except OSError as error:
        raise ValueError(
            "The images must have room and be writable; the same command goes on where it stopped."
            f" Received: {target.path} ({os.strerror(error.errno) if error.errno else error})."
        ) from error
    return f"Written: {count:,} images in {target.path}"
