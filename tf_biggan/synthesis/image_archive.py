"""An .npz of images and labels that is filled part by part, on disk.

Evaluators read "arr_0" (uint8 [N, H, W, C]) and "arr_1" (labels); "description" is JSON text.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Mapping

import numpy as np

from tf_biggan import checks
from tf_biggan.json_files import parse_json
from tf_biggan.npz_files import open_npz
from tf_biggan.open_model import OpenedModel
from tf_biggan.replaced_file import replaced
from tf_biggan.synthesis.wanted_images import WantedImages

IMAGES, LABELS, DESCRIPTION = "arr_0", "arr_1", "description"
UNFINISHED_FILE = "images.npy"
COPIED_BYTES = 1 << 20


class ImageArchive:
    """A `Target`: a plain .npy grows in the unfinished folder and is packed in the end.

    Args:
      path: the .npz.
      wanted: what will be written.
      opened: by what model.
      description: JSON values that the images follow from.
    """

    def __init__(
        self,
        path: str,
        wanted: WantedImages,
        opened: OpenedModel,
        description: Mapping[str, object],
    ):
        generator = opened.generator
        shape = (*generator.image_size, generator.image_channels)
        self.path = path
        self.request = {
            **description,
            "num_images": len(wanted.seeds),
            "order_sha256": wanted.sha256(),
            "written_as": "npz",
        }
        self._labels = wanted.labels
        self._header = _npy_header((len(wanted.seeds), *shape))
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
