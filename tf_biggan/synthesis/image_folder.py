"""A folder of single images, one sub-folder a class, as evaluation and training read them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import numpy as np
from PIL import Image

from tf_biggan import checks
from tf_biggan.classes import ClassLookup
from tf_biggan.images import MODES, save_png
from tf_biggan.open_model import OpenedModel
from tf_biggan.synthesis.description import as_text
from tf_biggan.synthesis.end_points import class_name
from tf_biggan.synthesis.unfinished import read_request
from tf_biggan.synthesis.wanted_images import WantedImages

FEWEST_DIGITS = 4
LONGEST_NAME = 60
_UNSAFE = re.compile(r"[^\w.-]+")


class ImageFolder:
    """A `Target`: the unfinished folder becomes the folder.

    Args:
      path: the folder.
      wanted: what will be written.
      opened: by what model.
      description: JSON values that the images follow from.

    Raises:
      ValueError: an image is asked for twice.
    """

    def __init__(
        self,
        path: str,
        wanted: WantedImages,
        opened: OpenedModel,
        description: Mapping[str, object],
    ):
        self.path = path
        self.request = {
            "order_sha256": wanted.sha256(),
            **description,
            "num_images": len(wanted.seeds),
            "written_as": "folder",
        }
        self._wanted = wanted
        self._lookup = ClassLookup(opened.class_names, opened.generator.num_classes)
        self._digits = max(FEWEST_DIGITS, len(str(int(wanted.seeds.max()))))
        self._folders = {} if wanted.labels is None else self._class_folders(wanted.labels)
        names = [self._name(number) for number in range(len(wanted.seeds))]
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
        file = f"seed{int(self._wanted.seeds[number]):0{self._digits}d}.png"
        if not self._folders:
            return file
        return os.path.join(self._folders[int(self._wanted.labels[number])], file)

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
        if self._wanted.labels is not None:
            description["class"] = self._lookup.label(int(self._wanted.labels[number]))
        return description | {"seed": int(self._wanted.seeds[number])}

    def _remove_halves(self, folder):
        """Removes temporary files of writes that were killed."""
        for place, _, files in os.walk(folder):
            for file in files:
                if file.endswith(".tmp"):
                    os.remove(os.path.join(place, file))
