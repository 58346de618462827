"""Extracts features of images on all replicas, or reads them from the cache on disk.

The cache holds arrays by key and has a limited total size.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.terminal import Progress
from tf_biggan.devices.strategy import ReplicaMap, spans_processes
from tf_biggan.evaluation.features.extractors import FEATURES, LOGITS, Extractor
from tf_biggan.evaluation.features.image_sets import ImageSet
from tf_biggan.files import file_system
from tf_biggan.files.array_files import read_npz
from tf_biggan.files.atomic import remove_leftovers, replaced
from tf_biggan.files.file_paths import expand_home
from tf_biggan.files.json_files import key_of

DIGESTS = "digests"
DIGEST_BYTES = 8
CACHE_VARIABLE = "TF_BIGGAN_CACHE"
DEFAULT_CACHE_FOLDER = "~/.cache/tf_biggan"
CACHE_BYTES = 8 << 30


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of a set of images.

    Attributes:
      features: float32 [N, D].
      logits: float32 [N, K]; None if the extractor does not classify.
      labels: int32 [N], the true or requested classes of the images; None if they are unknown.
      digests: uint64 [N], a hash of every image's pixels.
    """

    features: np.ndarray
    logits: np.ndarray | None
    labels: np.ndarray | None
    digests: np.ndarray

    @property
    def sha256(self) -> str:
        """SHA-256 of the images' hashes; it does not depend on the order of the images."""
        return hashlib.sha256(np.sort(self.digests).tobytes()).hexdigest()

    def by_content(self) -> Features:
        """Returns the features sorted by hash, so that the order of files does not matter."""
        return self.take(np.argsort(self.digests, kind="stable"))

    def take(self, rows: np.ndarray) -> Features:
        """Returns the features of the images with the indices `rows`, in this order."""
        chosen = {
            field.name: None
            if getattr(self, field.name) is None
            else getattr(self, field.name)[rows]
            for field in dataclasses.fields(self)
        }
        return Features(**chosen)


@contextlib.contextmanager
def full_float32_products() -> Iterator[None]:
    """Returns a context in which float32 products keep full precision on GPUs and TPUs.

    By default TensorFlow rounds factors to 10 bits on newer GPUs (TensorFloat-32) and to 7 bits on
    TPUs (bfloat16). Training does not suffer, but features change in their third digit.
    """
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled)


class FeatureExtraction:
    """Runs one feature extractor on all replicas of a strategy.

    Args:
      extractor: the feature extractor.
      strategy: distribution strategy; all of its replicas take part.
      batch_size: images per replica in one step.
      cache: cache of features.
    """

    def __init__(
        self,
        extractor: Extractor,
        strategy: tf.distribute.Strategy,
        batch_size: int,
        cache: ArrayCache,
    ):
        self.extractor = extractor
        self._strategy, self._batch_size = strategy, batch_size
        # Several machines use no cache: they must process the same batches together, even if only
        # some machines have cached features.
        self._cache = ArrayCache(None) if spans_processes(strategy) else cache

    @functools.cached_property
    def _map(self) -> ReplicaMap:
        with self._strategy.scope():
            function = self.extractor.build()
        return ReplicaMap(self._strategy, function, self._batch_size)

    def of(self, images: ImageSet) -> Features:
        """Returns the features of all images.

        Raises:
          ValueError: an image cannot be read, the extractor does not accept images of this size, or
            a feature is not finite.
        """
        key = self._key(images)
        arrays = self._cache.read(key) if key else None
        if arrays is None or len(arrays.get(FEATURES, ())) != images.count:
            arrays = self._extracted(images)
            if key:
                self._cache.store(key, arrays)
        return Features(
            arrays[FEATURES], arrays.get(LOGITS), images.labels, digests=arrays[DIGESTS]
        )

    def num_features(self, image_shape: tuple[int, int, int]) -> int:
        """Returns the number of features D. An extractor that does not state D is run once."""
        if self.extractor.num_features is not None:
            return self.extractor.num_features
        return self._made(np.zeros((1, *image_shape), np.uint8))[FEATURES].shape[1]

    def _key(self, images):
        if not (self._cache.keeps and images.cached):
            return None
        content = images.recipe or content_sha256(images)
        return key_of(content, dict(self.extractor.identity))

    def batches(self, images: ImageSet) -> Iterator[dict[str, np.ndarray]]:
        """Yields the outputs of the extractor, batch by batch in order, without the cache.

        Raises:
          ValueError: see `of`.
        """
        progress = Progress(f"{self.extractor.name}, {images.name}", images.count)
        for batch in images.batches(self._map.rows):
            made = self._made(batch)
            self._require_finite(made, images)
            yield {**made, DIGESTS: _digests(batch)}
            progress.add(len(batch))
        progress.close()

    def _extracted(self, images):
        parts: dict[str, list] = {}
        for made in self.batches(images):
            for name, values in made.items():
                parts.setdefault(name, []).append(values)
        return {name: np.concatenate(values) for name, values in parts.items()}

    def _made(self, batch):
        try:
            with full_float32_products():
                return self._map(batch)
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise ValueError(
                f"The extractor {self.extractor.name} does not accept images of the shape"
                f" {batch.shape[1:]} ({reason}). Use images of another size or another"
                " --extractor."
            ) from error

    def _require_finite(self, arrays, images):
        broken = ~np.isfinite(arrays[FEATURES]).all(axis=1)
        checks.require(
            not broken.any(),
            "the extractor returned features that are not finite numbers; check its weights"
            " and the images",
            extractor=self.extractor.name,
            images=images.name,
            images_with_others=int(broken.sum()),
        )


def _digests(batch: np.ndarray) -> np.ndarray:
    hashes = [hashlib.blake2b(i.tobytes(), digest_size=DIGEST_BYTES).digest() for i in batch]
    return np.frombuffer(b"".join(hashes), np.uint64)


def content_sha256(images: ImageSet) -> str:
    """Returns the SHA-256 of all pixels in order and of the size of the images."""
    digest = hashlib.sha256(repr(images.image_shape).encode())
    for batch in images.batches(256):
        digest.update(np.ascontiguousarray(batch))
    return digest.hexdigest()


def cache_folder() -> str:
    """Returns `$TF_BIGGAN_CACHE`, or ~/.cache/tf_biggan; the folder may not exist yet."""
    return expand_home(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE_FOLDER)


class ArrayCache:
    """A cache of named arrays by key, one npz file per key.

    When the files exceed the limit, the files that were read least recently are deleted. At an
    address such as gs://bucket/cache, the files that were written first are deleted instead.

    Args:
      folder: folder of the cache, created when something is stored; None to keep nothing.
      limit: highest number of bytes of all files together.
    """

    def __init__(self, folder: str | os.PathLike | None, limit: int = CACHE_BYTES):
        self._folder = None if folder is None else os.fspath(folder)
        self._limit = limit

    @property
    def keeps(self) -> bool:
        """Whether the cache has a folder."""
        return self._folder is not None

    def read(self, key: str) -> dict[str, np.ndarray] | None:
        """Returns the arrays under a key; None if there are none or the file is damaged."""
        if self._folder is None:
            return None
        path = self._path(key)
        try:
            arrays = read_npz(path)
            file_system.touch(path)
        except (OSError, ValueError):
            return None
        return arrays

    def store(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        """Stores arrays, unless they alone exceed the limit or the disk is full."""
        if self._folder is None or sum(a.nbytes for a in arrays.values()) > self._limit:
            return
        path = self._path(key)
        # A full disk must not make the evaluation fail.
        with contextlib.suppress(OSError):
            file_system.makedirs(self._folder)
            # This also removes leftovers of other keys, which may never be written again.
            remove_leftovers(self._folder)
            with replaced(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, **arrays)
            self._make_room(path)

    def _path(self, key):
        return os.path.join(self._folder, f"{key}.npz")

    def _make_room(self, newest):
        entries = []
        for name in file_system.listdir(self._folder):
            path = os.path.join(self._folder, name)
            if name.endswith(".npz"):
                with contextlib.suppress(OSError):
                    size, changed = file_system.size_and_time(path)
                    entries.append((path != newest, -changed, size, path))
        total = 0
        for _, _, size, path in sorted(entries):
            total += size
            if total > self._limit:
                with contextlib.suppress(FileNotFoundError):
                    file_system.remove(path)
