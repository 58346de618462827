"""Limits on the size of untrusted files, with the reason for each limit.

A file of a few kilobytes can declare, or decompress to, terabytes. Readers therefore compare what a
file declares with its length or with these limits before they decompress, parse or allocate
anything. Real files stay below every limit, and a file within the limits takes at most about a
gigabyte of memory and a few seconds. Tensors that are stored in full are not limited.
"""

from __future__ import annotations

MEBIBYTE = 1 << 20

# Zip archives (PyTorch's files, .npz, .keras).
# Length of the table of contents. A checkpoint with its optimisers has 4,000 entries of 100 bytes.
ZIP_TABLE_BYTES = 4 * MEBIBYTE
# Decompressed size of all compressed entries: INFLATED_BYTES plus INFLATED_RATIO times the length
# of the file. Compression shortens weights and photographs by 10 % and drawings by 90 %. It
# shortens long runs of equal labels to a thousandth, which INFLATED_BYTES allows for.
INFLATED_BYTES = 128 * MEBIBYTE
INFLATED_RATIO = 16

# Pickles in PyTorch's files.
# A pickle of 5,000 tensors has 200,000 operations. A log of losses has one operation per number.
PICKLE_OPERATIONS = 1_000_000
# Number of values, and depth of their nesting. A value that occurs several times counts each time.
# The flags of a run have 300 values.
PICKLE_VALUES = 4_000_000
PICKLE_DEPTH = 100
# Bytes of one string or number. mmengine stores up to a million logged values as one string.
PICKLE_PIECE_BYTES = 64 * MEBIBYTE
# Longer texts are neither names nor configurations, so they are read and dropped.
PICKLE_KEPT_TEXT_BYTES = MEBIBYTE
PICKLE_KEPT_BYTES = 64 * MEBIBYTE
# Axes of one tensor. PyTorch's own limit is lower.
TENSOR_AXES = 64

# Checkpoints. The longest name of a tensor in a published checkpoint has 60 characters.
TENSOR_NAME_CHARACTERS = 300
TENSORS = 20_000
# Size of all tensors relative to the storages that they share.
SHARED_RATIO = 2
# BigGAN-deep at 1,024 pixels with four blocks per stage has 36 residual blocks.
RESIDUAL_BLOCKS = 64
# Numbers that a network may have in addition to those in its file. If a few tensors are missing,
# the network is still built, so that the error message can name the missing tensors.
MISSING_NUMBERS = 16 * MEBIBYTE

# The header of a .npy entry. NumPy's own limit is 10,000 characters.
NPY_HEADER_BYTES = 1 << 16
# The header of a safetensors file. For 5,000 tensors it has 500 kB.
SAFETENSORS_HEADER_BYTES = 8 * MEBIBYTE
# A model's config.json has 20 kB. A classes.json with 20,000 long names has 2 MB.
JSON_BYTES = 16 * MEBIBYTE

# The index of a TensorFlow checkpoint. For 5,000 variables it has 500 kB.
CHECKPOINT_INDEX_BYTES = 8 * MEBIBYTE

# TensorFlow's graphs. A parsed message occupies up to 60 times its length in the file.
GRAPH_FIELDS = 1_000_000
# The graph of Inception has 96 MB, nearly all of it weights.
GRAPH_BYTES = 256 * MEBIBYTE
# Graphs up to this size occupy at most 700 MB, so their fields need not be counted.
SMALL_GRAPH_BYTES = 12 * MEBIBYTE
# Bytes that a graph's constants may have in addition to those that are stored. A constant of any
# size can be stored as a single number.
FILLED_BYTES = 16 * MEBIBYTE
# Bytes of everything that is computed from a graph's constants. BigGAN-deep 512 needs 11 MB.
COMPUTED_BYTES = 128 * MEBIBYTE
# Bytes that a .tgz may hold before Inception's graph. The published .tgz has 3 MB of other files.
TAR_BYTES_BEFORE = 8 * MEBIBYTE

# Pixels of one image. Photographs have up to 60 million, and decoding takes up to 16 bytes per
# pixel.
IMAGE_PIXELS = 64 * MEBIBYTE


def inflated_bound(length: int) -> int:
    """Returns the decompressed size that is accepted for a file of `length` bytes."""
    return INFLATED_BYTES + INFLATED_RATIO * length
