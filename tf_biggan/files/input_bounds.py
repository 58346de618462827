"""Limits on the size of untrusted files, with the reason for each limit.

A file of a few kilobytes can declare, or decompress to, terabytes. Readers therefore compare what a
file declares with its length or with these limits before they decompress, parse or allocate
anything. Every limit is at least ten times what real files need, and a file within the limits takes
less than a gigabyte of memory and a few seconds. Tensors that are stored in full are not limited.
"""

from __future__ import annotations

MEBIBYTE = 1 << 20

# Zip archives (PyTorch's files, .npz, .keras).
# The table of contents: a checkpoint with its optimisers has 4,000 entries of 100 bytes.
ZIP_TABLE_BYTES = 4 * MEBIBYTE
# What all compressed entries may inflate to: that much, and so many times the file's length.
# Weights and photographs shrink by a tenth at most, drawings to a tenth; long runs of equal labels
# to a thousandth, and for those the first number is there.
INFLATED_BYTES = 128 * MEBIBYTE
INFLATED_RATIO = 16

# Pickles in PyTorch's files.
# 5,000 tensors take 200,000 operations; a log of losses one for every number.
PICKLE_OPERATIONS = 1_000_000
# A value can hold another many times; written out, the values of a run's flags are 300.
PICKLE_VALUES = 4_000_000
PICKLE_DEPTH = 100
# mmengine keeps up to a million values of every log in one piece.
PICKLE_PIECE_BYTES = 64 * MEBIBYTE
# Longer texts are no names and no configurations: they are read and dropped.
PICKLE_KEPT_TEXT_BYTES = MEBIBYTE
PICKLE_KEPT_BYTES = 64 * MEBIBYTE
# PyTorch's own limit is lower still.
TENSOR_AXES = 64

# Checkpoints. The longest name in a published one has 60 characters.
TENSOR_NAME_CHARACTERS = 300
TENSORS = 20_000
# Tensors that share storages may be this many times as large as the storages.
SHARED_RATIO = 2
# BigGAN-deep at 1,024 pixels with four blocks a resolution has 36.
RESIDUAL_BLOCKS = 64
# Numbers that a network may have beyond those of its file, so that the error of a network of which
# some tensors are missing names those.
MISSING_NUMBERS = 16 * MEBIBYTE

# The header of a .npy entry; NumPy itself stops at 10,000 characters.
NPY_HEADER_BYTES = 1 << 16
# The header of a safetensors file: 5,000 tensors take 500 kB.
SAFETENSORS_HEADER_BYTES = 8 * MEBIBYTE
# A model's config.json has 20 kB; classes.json of 20,000 long names 2 MB.
JSON_BYTES = 16 * MEBIBYTE

# The index of a TensorFlow checkpoint: 5,000 variables take 500 kB.
CHECKPOINT_INDEX_BYTES = 8 * MEBIBYTE

# TensorFlow's graphs. Parsed messages take up to 60 times their bytes.
GRAPH_FIELDS = 1_000_000
# The graph of Inception has 96 MB, nearly all of it weights.
GRAPH_BYTES = 256 * MEBIBYTE
# Graphs up to this size take 700 MB at worst, so that their fields need not be counted.
SMALL_GRAPH_BYTES = 12 * MEBIBYTE
# What constants of a graph may hold beyond what is stored of them: one number can stand for many.
FILLED_BYTES = 16 * MEBIBYTE
# Everything that is computed from the constants of a graph: BigGAN-deep 512 has 11 MB.
COMPUTED_BYTES = 128 * MEBIBYTE
# What a .tgz may hold before the graph that is looked for: the published one has 3 MB beside it.
TAR_BYTES_BEFORE = 8 * MEBIBYTE

# Pixels of one image: cameras have up to 60 million, and decoding takes up to 16 bytes for each.
IMAGE_PIXELS = 64 * MEBIBYTE


def inflated_bound(length: int) -> int:
    """Returns the decompressed size that is accepted for a file of `length` bytes."""
    return INFLATED_BYTES + INFLATED_RATIO * length
