"""What data are, wherever they are stored: numbers of images and a hash of their index."""

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
    """What must stay the same of the data of a run, besides the names of their classes.

    Attributes:
      num_images: images in all.
      images_per_class: one number a class, up to the last class of which there are images; empty
        where there are no classes.
      index_sha256: SHA-256 of labels and of what tells images apart, in their order: names of files
        within the folder and sizes of up to 1,000 of them, or places in record files.
    """

    num_images: int
    images_per_class: tuple[int, ...]
    index_sha256: str

    @classmethod
    def of(cls, source: Source) -> DataIdentity:
        """The identity of a source; independent of the folder that it lies in."""
        digest = hashlib.sha256(np.asarray(source.labels, "<i4").tobytes())
        for part in source.index_parts():
            digest.update(part)
        counts = np.bincount(source.labels[source.labels >= 0]) if source.num_classes else ()
        return cls(source.num_images, tuple(map(int, counts)), digest.hexdigest())

    @classmethod
    def from_dict(cls, content: Mapping[str, object], path: str) -> DataIdentity:
        """The inverse of `dataclasses.asdict`; `path` names the file in messages."""
        values = {k: json_files.field(content, k, kind, path) for k, kind in FIELDS.items()}
        return cls(**values | {"images_per_class": tuple(values["images_per_class"])})

    def differences(self, now: DataIdentity, class_names: Sequence[str]) -> str | None:
        """Says how data have changed since; None where they are the same.

        Args:
          now: identity of the data as they are.
          class_names: one name a class, of both.
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
