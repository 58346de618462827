"""Opens data sets of TensorFlow Datasets that are prepared on this machine or in a bucket."""

from __future__ import annotations

import difflib

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data.record_source import RecordIndex, RecordSource, require_files, scan
from tf_biggan.files.file_paths import PlainFolder

MAX_SUGGESTIONS = 5
DEFAULT_SPLIT = "train"


def open_tfds(
    location: str, split: str | None, data_dir: str | None, download: bool
) -> RecordSource:
    """Opens a prepared data set, such as `cifar10`, `imagenet_resized/64x64` or `mine:1.0.0`.

    The image is the supervised input or the only image feature. The class is the supervised target
    or the only class feature; a data set without classes is accepted. Every record is read once to
    find its label and its position. If the records have hundreds of gigabytes, run `prepare` once
    and open its output instead.

    Args:
      location: Name of the data set, with its configuration and version if needed.
      split: Split or slice of the data set, such as `train[:50%]`. Default: "train".
      data_dir: Folder of prepared data sets. Default: the folder of TensorFlow Datasets.
      download: Whether the data set is downloaded and prepared if it is not in `data_dir`.

    Raises:
      ValueError: The name is unknown, the data set is not prepared as TFRecord files, the split
        does not exist, it is not clear which feature is the image or the class, or images do not
        have 8 bits per channel.
    """
    import tensorflow_datasets as tfds

    folder = PlainFolder(data_dir or "")
    builder = _builder(tfds, location, folder.path or None)
    _require_prepared(builder, location, download, folder)
    name = f"tfds:{location}"
    features = builder.info.features
    image_key, label_key = _feature_keys(tfds, builder.info, name)
    instructions = _instructions(builder, name, split or DEFAULT_SPLIT)
    one_image = tfds.features.FeaturesDict({image_key: features[image_key]})
    encoded = {image_key: tfds.decode.SkipDecoding()}

    def contents_of(records):
        return tf.map_fn(
            lambda record: one_image.deserialize_example(record, decoders=encoded)[image_key],
            records,
        )

    if label_key is None:
        index = _index(instructions, lambda record: 0, name, folder)
        return RecordSource(name, (), index, contents_of)
    one_label = tfds.features.FeaturesDict({label_key: features[label_key]})
    index = _index(
        instructions,
        lambda record: one_label.deserialize_example(record)[label_key],
        name,
        folder,
    )
    return RecordSource(name, tuple(features[label_key].names), index, contents_of)


def _builder(tfds, location: str, data_dir: str | None):
    try:
        return tfds.builder(location, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        similar = difflib.get_close_matches(location, known, MAX_SUGGESTIONS)
        reason = f"similar names: {', '.join(similar)}" if similar else "no similar name is known"
    except (AssertionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
    raise ValueError(
        f"TensorFlow Datasets has no data set {location!r} ({reason}). Write tfds:NAME with a"
        " name from its catalogue."
    )


def _require_prepared(builder, location: str, download: bool, folder: PlainFolder) -> None:
    if not builder.is_prepared() and download:
        try:
            builder.download_and_prepare()
        except Exception as error:
            # Downloads, archives and manual steps raise too many types of exceptions to list them.
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"Cannot download and prepare tfds:{location}: {type(error).__name__}: {reason}"
            ) from error
    checks.require(
        builder.is_prepared(),
        f"`tfds:{location}` is not prepared on this machine; add --download, run `tfds build"
        f" {location}`, or give the folder of prepared data sets by --data_dir",
        looked_in=folder.real(str(builder.data_path)),
    )
    checks.require(
        builder.info.file_format is not None and builder.info.file_format.value == "tfrecord",
        f"`tfds:{location}` is not stored as TFRecord files, and other formats cannot be read;"
        f" delete its folder, and run `tfds build {location} --file_format=tfrecord`",
        file_format=str(builder.info.file_format),
    )


def _feature_keys(tfds, info, name: str) -> tuple[str, str | None]:
    features = dict(info.features.items()) if hasattr(info.features, "items") else {}
    pair = info.supervised_keys or ()
    image_key = _only(name, "image", features, pair, tfds.features.Image)
    checks.require(
        image_key is not None,
        f"`{name}` has no feature that is clearly the image; it needs an image as supervised"
        " input, or exactly one image feature",
        features=tuple(features),
    )
    checks.require(
        features[image_key].np_dtype == np.uint8,
        f"images of `{name}` do not have 8 bits per channel, which is required",
        feature=image_key,
        dtype=np.dtype(features[image_key].np_dtype).name,
    )
    return image_key, _only(name, "class", features, pair, tfds.features.ClassLabel)


def _only(name: str, role: str, features: dict, supervised: tuple, kind: type) -> str | None:
    keys = [key for key, feature in features.items() if isinstance(feature, kind)]
    chosen = [key for key in supervised if key in keys]
    checks.require(
        len(chosen or keys) <= 1,
        f"`{name}` has several {role} features, and its supervised keys do not say which one"
        " to use",
        features=tuple(keys),
    )
    return (chosen or keys or [None])[0]


def _instructions(builder, name: str, split: str) -> list:
    try:
        instructions = builder.info.splits[split].file_instructions
    except (KeyError, ValueError, AssertionError):
        instructions = []
    checks.require(
        bool(instructions),
        f"`{name}` has no images in this split; its splits are {', '.join(builder.info.splits)}",
        split=split,
    )
    return list(instructions)


def _index(instructions: list, label_of, name: str, folder: PlainFolder) -> RecordIndex:
    """Returns the index of the records that belong to the split."""
    # Readers open the TFRecord files later, when the temporary link no longer exists.
    paths = [folder.real(str(instruction.filename)) for instruction in instructions]
    files = tuple(dict.fromkeys(paths))
    require_files(files, f"files of `{name}` are missing; prepare the data set again")
    index = scan(files, label_of, f"Reading the labels of {name}")
    starts = np.searchsorted(index.file_of, np.arange(len(files) + 1))
    selected = []
    for instruction, path in zip(instructions, paths, strict=True):
        file = files.index(path)
        positions = np.arange(starts[file], starts[file + 1])[instruction.skip :]
        selected.append(positions if instruction.take < 0 else positions[: instruction.take])
    return index.select(np.concatenate(selected))
