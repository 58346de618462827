"""Tensors that lie in a file: shapes are known at once, values are read when they are asked for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from tf_biggan.checks import require
from tf_biggan.files import input_bounds


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """One tensor in a file.

    Attributes:
      shape: its axes.
      dtype: as stored, by NumPy's name; or "bfloat16", which NumPy lacks.
      read: the values from the file; what NumPy has no narrow type for, and half precision, as
        float32.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]

    @property
    def num_bytes(self) -> int:
        """Bytes of the values as stored; a tensor that lies twice in memory counts twice."""
        width = 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize
        return math.prod(self.shape) * width

    @classmethod
    def of(cls, array: np.ndarray) -> StoredTensor:
        """An array in memory as if it lay in a file."""
        array = np.asarray(array)
        return cls(array.shape, array.dtype.name, lambda: array)


class Tensors(Mapping[str, np.ndarray]):
    """Arrays by key, each read from its file at every access, so that few are in memory.

    Args:
      entries: the tensors by key.
    """

    def __init__(self, entries: Mapping[str, StoredTensor]):
        self.entries = dict(entries)

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Tensors:
        """Arrays in memory as if they lay in a file."""
        return cls({key: StoredTensor.of(array) for key, array in arrays.items()})

    def __getitem__(self, key: str) -> np.ndarray:
        return self.entries[key].read()

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, key) -> bool:
        return key in self.entries

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor; reads nothing."""
        return {key: entry.shape for key, entry in self.entries.items()}

    @property
    def dtypes(self) -> dict[str, str]:
        """The type of every tensor as stored; reads nothing."""
        return {key: entry.dtype for key, entry in self.entries.items()}

    def below(self, prefix: str) -> Tensors:
        """The tensors whose keys begin with `prefix`, by the rest of their keys."""
        return Tensors(
            {
                key.removeprefix(prefix): entry
                for key, entry in self.entries.items()
                if key.startswith(prefix)
            }
        )


def require_plausible(names: Collection[str], path: str) -> None:
    """Raises ValueError for more tensors, or longer names of them, than any network has."""
    limit = input_bounds.TENSORS
    require(len(names) <= limit, f"a file may hold {limit} tensors", path=path, tensors=len(names))
    limit, longest = input_bounds.TENSOR_NAME_CHARACTERS, max(map(len, names), default=0)
    rule = f"names of tensors may have {limit} characters"
    require(longest <= limit, rule, path=path, longest=longest)


def widened(array: np.ndarray) -> np.ndarray:
    """Half precision as float32, everything else as it is."""
    return array.astype("float32") if array.dtype == np.float16 else array


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """float32 from the 16 bits of bfloat16, which are its upper half."""
    return (bits.astype("uint32") << 16).view("float32")
