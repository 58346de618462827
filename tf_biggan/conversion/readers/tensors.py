"""Tensors in a file: their shapes are known at once, and their values are read when accessed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from tf_biggan.checks import require
from tf_biggan.files import input_bounds


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file.

    Attributes:
      shape: Shape of the tensor.
      dtype: Dtype in the file: the name of a NumPy dtype, or "bfloat16".
      read: Function that reads the values. float16 and bfloat16 become float32.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]

    @property
    def num_bytes(self) -> int:
        """Number of bytes of the values in the stored dtype.

        Values that several tensors share count once for each of these tensors.
        """
        width = 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize
        return math.prod(self.shape) * width

    @classmethod
    def of(cls, array: np.ndarray) -> StoredTensor:
        """Returns an array in memory as a `StoredTensor`."""
        array = np.asarray(array)
        return cls(array.shape, array.dtype.name, lambda: array)


class Tensors(Mapping[str, np.ndarray]):
    """Mapping from keys to arrays that reads an array from its file at every access.

    So only arrays that are in use are in memory.

    Args:
      entries: Tensors by key.
    """

    def __init__(self, entries: Mapping[str, StoredTensor]):
        self.entries = dict(entries)

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Tensors:
        """Returns arrays in memory as `Tensors`."""
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
        """Shape of each tensor by key. No values are read."""
        return {key: entry.shape for key, entry in self.entries.items()}

    @property
    def dtypes(self) -> dict[str, str]:
        """Dtype of each tensor in the file by key. No values are read."""
        return {key: entry.dtype for key, entry in self.entries.items()}

    def below(self, prefix: str) -> Tensors:
        """Returns the tensors whose keys begin with `prefix`, with the prefix removed."""
        return Tensors(
            {
                key.removeprefix(prefix): entry
                for key, entry in self.entries.items()
                if key.startswith(prefix)
            }
        )


def require_plausible(names: Collection[str], path: str) -> None:
    """Raises ValueError if a file has more tensors, or longer names, than any network has.

    Args:
      names: Names of the tensors.
      path: Path of the file, for the error message.
    """
    limit = input_bounds.TENSORS
    require(
        len(names) <= limit,
        f"the file is refused, because it holds more than {limit} tensors; save only the tensors"
        " of the network",
        path=path,
        tensors=len(names),
    )
    limit, longest = input_bounds.TENSOR_NAME_CHARACTERS, max(map(len, names), default=0)
    require(
        longest <= limit,
        f"the file is refused, because a name of a tensor has more than {limit} characters; save"
        " only the tensors of the network",
        path=path,
        longest=longest,
    )


def widened(array: np.ndarray) -> np.ndarray:
    """Converts a float16 array to float32. Other arrays stay as they are."""
    return array.astype("float32") if array.dtype == np.float16 else array


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Converts the bits of bfloat16 numbers, as uint16, to float32.

    The bits of a bfloat16 number are the upper half of the same number in float32.
    """
    return (bits.astype("uint32") << 16).view("float32")
