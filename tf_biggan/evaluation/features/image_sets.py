"""Sets of uint8 images to extract features from: data sources, folders, npz files and arrays."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from tf_biggan import checks
from tf_biggan.data import decoding as images
from tf_biggan.data.folder import open_folder
from tf_biggan.data.source import Source
from tf_biggan.files import file_system
from tf_biggan.files.array_files import open_npz

KEPT_BYTES = 1 << 30
IMAGE_KEYS = ("x", "images", "arr_0")
LABEL_KEYS = ("y", "labels", "arr_1")


class ImageSet(abc.ABC):
    """A sequence of images of one size.

    Attributes:
      name: name for messages.
      count: number of images.
      image_shape: (height, width, channels).
      labels: int32 [N]; None if they are unknown.
      class_names: one name per class; empty if they are unknown.
      description: JSON values for the file of scores.
      recipe: a string that identifies generated images in the cache, in place of their content.
        None for images that are read from files.
      cached: whether features of the images may be cached.
      by_index: whether image i is made from the number i, as generated images are. If so, the order
        of the images does not depend on an order of files.
      notes: sentences about the images, such as a note on files that were left out.
    """

    name: str
    count: int
    image_shape: tuple[int, int, int]
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    description: Mapping[str, object]
    recipe: str | None = None
    cached: bool = True
    by_index: bool = False
    notes: tuple[str, ...] = ()

    def place(self, number: int) -> str:
        """Returns the name of an image in its folder or file."""
        return f"image {number}"

    @abc.abstractmethod
    def batches(self, size: int) -> Iterator[np.ndarray]:
        """Yields all images in order as uint8 [n, H, W, C] with n up to `size`."""


class SourceImages(ImageSet):
    """Images of a data source, cropped and resized as in training.

    Args:
      source: the data source.
      image_size: (height, width) to crop and resize to.
      channels: number of channels, 1 to 4.
      count: number of images, spread evenly over the source; None for all.

    Attributes:
      indices: int64 [N], index of each image in the source.
    """

    def __init__(
        self, source: Source, image_size: tuple[int, int], channels: int, count: int | None = None
    ):
        total = source.num_images
        count = total if count is None else min(count, total)
        self._source, self._kept = source, None
        self.indices = np.arange(count) * total // count
        self.name, self.count = source.name, count
        self.image_shape = (*image_size, channels)
        labels = source.labels[self.indices]
        self.labels = labels if source.num_classes and labels.min() >= 0 else None
        self.class_names, self.notes = source.class_names, source.notes
        self.description = {
            "images": source.name,
            "count": count,
            "resolution": list(self.image_shape),
            "crop": images.CROP_METHOD,
            "resize": images.RESIZE_METHOD,
        }

    def place(self, number):
        return self._source.locate(int(self.indices[number]))

    def batches(self, size):
        if self._kept is None and self.count * np.prod(self.image_shape) <= KEPT_BYTES:
            self._kept = np.concatenate(list(self._read(self.indices, size)))
        if self._kept is None:
            yield from self._read(self.indices, size)
            return
        for start in range(0, self.count, size):
            yield self._kept[start : start + size]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns the images at the positions `rows`, in this order, as uint8 [n, H, W, C]."""
        if self._kept is not None:
            return self._kept[rows]
        return np.concatenate(list(self._read(self.indices[rows], max(1, len(rows)))))

    def _read(self, indices, size):
        rows = tf.data.Dataset.from_tensor_slices((indices,))
        loaded = self._source.load_stream(rows, *self.image_shape).map(lambda pixels, _: pixels)
        with images.naming_unreadable():
            yield from loaded.rebatch(size).prefetch(2).as_numpy_iterator()


class ArrayImages(ImageSet):
    """Images in memory.

    Args:
      name: name for messages.
      pixels: uint8 [N, H, W, C].
      labels: integers [N]; None if they are unknown.
      places: names of the N images; None to number them.
    """

    def __init__(
        self,
        name: str,
        pixels: np.ndarray,
        labels: np.ndarray | None = None,
        places: Sequence[str] | None = None,
    ):
        self._pixels, self._places = pixels, places
        self.name, self.count = name, len(pixels)
        self.image_shape = tuple(pixels.shape[1:])
        self.labels = None if labels is None else np.asarray(labels, np.int32)
        self.class_names = ()
        self.description = {
            "images": name,
            "count": self.count,
            "resolution": list(self.image_shape),
        }

    def place(self, number):
        return super().place(number) if self._places is None else self._places[number]

    def batches(self, size):
        for start in range(0, self.count, size):
            yield self._pixels[start : start + size]


class PilResized(ImageSet):
    """Images that are resized by PIL's antialiased bicubic filter, as in mmagic.

    Args:
      images: the images, with 1 or 3 channels.
      side: new height and width in pixels.
    """

    def __init__(self, images: ImageSet, side: int):
        self._images, self._side = images, side
        self.name, self.count, self.labels = images.name, images.count, images.labels
        self.class_names, self.cached = images.class_names, images.cached
        self.image_shape = (side, side, images.image_shape[2])
        self.description = {**images.description, "pil_bicubic": side}
        self.recipe = None if images.recipe is None else f"{images.recipe} pil_bicubic {side}"

    def place(self, number):
        return self._images.place(number)

    def batches(self, size):
        for batch in self._images.batches(size):
            yield np.stack([self._resized(image) for image in batch])

    def _resized(self, image):
        page = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        made = np.asarray(page.resize((self._side, self._side), Image.Resampling.BICUBIC))
        return made.reshape(self.image_shape)


def open_images(
    path: str, image_size: tuple[int, int] | None, channels: int, count: int | None = None
) -> ImageSet:
    """Opens the images to evaluate in a folder or an npz file.

    Args:
      path: a folder of images, with or without one sub-folder per class, or an .npz file. The file
        has uint8 images under a name in `IMAGE_KEYS`, such as "x". It may also have labels under a
        name in `LABEL_KEYS`, such as "y".
      image_size: (height, width) to which the images of a folder are cropped and resized. None
        leaves them as they are, and requires images of one size.
      channels: number of channels for the images of a folder.
      count: largest number of images to use, spread evenly over all images; None for all.

    Raises:
      ValueError: the path holds no such images, or `image_size` is None and the images of the
        folder differ in size.
    """
    file_system.require_existing("path of images", path, "a folder of images, or an .npz file")
    if path.lower().endswith(".npz"):
        return _from_npz(path, count)
    source = open_folder(path, None)
    return SourceImages(source, image_size or _only_size(source), channels, count)


def _only_size(source: Source) -> tuple[int, int]:
    first = None
    for index in range(source.num_images):
        place = source.locate(index)
        try:
            with file_system.open_file(place) as file, Image.open(file) as image:
                width, height = image.size
        # PIL raises a ValueError for a damaged header, and its own error for too many pixels.
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(
                f"Cannot read the image {place!r}. Remove or replace it: an image must be"
                f" {images.READABLE}."
            ) from error
        first = first or (height, width, place)
        checks.require(
            (height, width) == first[:2],
            "the images differ in size; give --resolution=R or --resolution=HxW to crop and resize"
            " all to RxR or HxW pixels",
            **{"first": f"{first[2]} {first[0]}x{first[1]}", "other": f"{place} {height}x{width}"},
        )
    return first[:2]


def _from_npz(path: str, count: int | None) -> ArrayImages:
    arrays = open_npz(path)
    pixels = _first_of(arrays, IMAGE_KEYS)
    checks.require(
        pixels is not None
        and pixels.dtype == np.uint8
        and len(pixels.shape) == 4
        and pixels.shape[0] > 0,
        "an .npz file of images must hold uint8 [N, H, W, C] under one of the names"
        f" {', '.join(IMAGE_KEYS)}",
        path=path,
        arrays={name: f"{array.dtype} {array.shape}" for name, array in arrays.items()},
    )
    pixels = pixels.read()
    if pixels.shape[-1] > images.MAX_CHANNELS and pixels.shape[1] <= images.MAX_CHANNELS:
        # BigGAN-PyTorch writes images as [N, C, H, W].
        pixels = pixels.transpose(0, 2, 3, 1)
    checks.require(
        pixels.shape[-1] in (1, 3),
        "the images in an .npz file must have 1 or 3 channels",
        shape=pixels.shape,
    )
    labels = _first_of(arrays, LABEL_KEYS)
    checks.require(
        labels is None or (labels.shape == (len(pixels),) and labels.dtype.kind in "iu"),
        "the labels in an .npz file must be integers, one for each image",
        path=path,
        labels=None if labels is None else f"{labels.dtype} {labels.shape}",
    )
    chosen = np.arange(min(count or len(pixels), len(pixels)))
    chosen = chosen * len(pixels) // len(chosen)
    places = [f"image {number}" for number in chosen]
    labels = None if labels is None else labels.read()[chosen]
    return ArrayImages(path, pixels[chosen], labels, places)


def _first_of(arrays, keys):
    return next((arrays[key] for key in keys if key in arrays), None)
