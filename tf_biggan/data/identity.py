"""Identity of a data set, which does not depend on the folder that it is stored in."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from tf_biggan.data.source import Source
from tf_biggan.files import json_files

MAX_LISTED = 3
FIELDS = {"num_images": "int", "images_per_class": "tuple[int, ...]", "index_sha256": "str"}


@dataclasses.dataclass(frozen=True)
class DataIdentity:
    """What must not change in the data of a run, besides the names of the classes.

    Attributes:
      num_images: Total number of images.
      images_per_class: Number of images of every class, up to the last class that has images;
        empty if there are no classes.
      index_sha256: SHA-256 of the labels and, in order, of the file names relative to the folder
        and the sizes of up to 1,000 files, or of the positions in TFRecord files.
    """

    num_images: int
    images_per_class: tuple[int, ...]
    index_sha256: str

    @classmethod
    def of(cls, source: Source) -> DataIdentity:
        """Returns the identity of a data set."""
        digest = hashlib.sha256(np.asarray(source.labels, "<i4").tobytes())
        for part in source.index_parts():
            digest.update(part)
        counts = np.bincount(source.labels[source.labels >= 0]) if source.num_classes else ()
        return cls(source.num_images, tuple(map(int, counts)), digest.hexdigest())

    @classmethod
    def from_dict(cls, content: Mapping[str, object], path: str) -> DataIdentity:
        """Returns the identity in a dict of its fields; path: path of the file, for messages."""
        values = {k: json_files.field(content, k, kind, path) for k, kind in FIELDS.items()}
        return cls(**values | {"images_per_class": tuple(values["images_per_class"])})

    def differences(self, now: DataIdentity, class_names: Sequence[str]) -> str | None:
        """Returns a text about how the data have changed, or None if they are the same.

        Args:
          now: Identity of the present data.
          class_names: Names of the classes of both.
        """
        if self == now:
            return None
        if self.num_images != now.num_images:
            text = f"{self.num_images:,} images then, {now.num_images:,} now"
        else:
            text = f"{self.num_images:,} images then and now"
        counts = itertools.zip_longest(self.images_per_class, now.images_per_class, fillvalue=0)
        classes = [
            f"{name} {old:,} then, {new:,} now"
            for name, (old, new) in zip(class_names, counts, strict=False)
            if old != new
        ]
        if not classes and self.num_images == now.num_images:
            return f"{text}, but other names, sizes or order of files"
        more = len(classes) - MAX_LISTED
        shown = [*classes[:MAX_LISTED], *([f"{more:,} more classes"] if more > 0 else [])]
        return f"{text} ({', '.join(shown)})" if classes else text
