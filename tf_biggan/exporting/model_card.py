"""Writes the model card and its sheet of samples, and describes a SavedModel as text."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import numpy as np

from tf_biggan.data.classes import ClassLookup
from tf_biggan.exporting.lineage import sentences
from tf_biggan.exporting.signature_table import Signature, read_signatures, signature_lines
from tf_biggan.files.png import save_png
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.pictures.image_selection import ImageSelection, row_name
from tf_biggan.pictures.samples import samples_page
from tf_biggan.store.saved_models import SavedModelGenerator, read_metadata

CARD_FILE, SAMPLES_FILE = "model_card.md", "samples.png"
MOST_CELLS = 8
LARGEST_SIDE = 1024
TRUNCATION = 0.5
# Longest list of metadata values that `description` prints in full.
MANY = 8
# Metadata fields that `description` prints after the others, or shortened, or not at all.
LATER = ("format", "format_version", "config", "provenance", "class_names", "truncation_grid")
NO_NOTE = "No note was given. Weights and data have licences of their own."
MEANING = {
    "scale": "Latents are `truncation` times a normal distribution cut off at 2, as of DeepMind's"
    " modules; above 0, at most 1. Lower is less varied and, by its scores, better looking.",
    "resample": "Latents are a normal distribution cut off at `truncation` (the paper's); above 0."
    " Lower is less varied and, by its scores, better looking.",
}


def write_samples(folder: str) -> None:
    """Writes samples.png, a sheet of the SavedModel's images at truncation 0.5.

    Rows are classes, spread evenly over all classes, and columns are seeds. A model without classes
    gets two rows with different seeds. The sample command makes the same images of the same model,
    seeds and classes.

    Args:
      folder: Folder of the SavedModel.
    """
    generator = SavedModelGenerator(folder)
    selection = _samples(generator)
    # Images are made one by one, so that the sheet needs no more memory than a request for one.
    maker = ImageMaker(generator, truncation_mode=generator.truncation_mode, batch_size=1)
    page = samples_page(maker, selection, TRUNCATION)
    save_png(page, os.path.join(folder, SAMPLES_FILE))


def _samples(generator: SavedModelGenerator) -> ImageSelection:
    """Returns the classes and seeds of the sheet."""
    num_classes = generator.num_classes
    rows, columns = (max(2, min(MOST_CELLS, LARGEST_SIDE // side)) for side in generator.image_size)
    if not num_classes:
        return ImageSelection(np.arange(2 * columns), None, None, columns, None, {})
    rows = min(rows, num_classes)
    classes = [row * num_classes // rows for row in range(rows)]
    lookup = ClassLookup(generator.class_names, num_classes)
    names = tuple(row_name(label, lookup) for label in classes)
    seeds, labels = np.tile(np.arange(columns), rows), np.repeat(np.int32(classes), columns)
    return ImageSelection(seeds, labels, None, columns, names, {})


def write_card(
    folder: str, name: str, metadata: Mapping[str, object], signatures: list[Signature]
) -> None:
    """Writes model_card.md.

    Args:
      folder: Folder of the SavedModel.
      name: Name of the model.
      metadata: Content of `assets.extra/tf_biggan.json`.
      signatures: Signatures of the SavedModel.
    """
    text = "\n\n".join(part for part in _parts(name, metadata, signatures) if part) + "\n"
    with open(os.path.join(folder, CARD_FILE), "w", encoding="utf-8") as file:
        file.write(text)


def _parts(name, metadata, signatures):
    height, width = metadata["image_size"]
    classes, names = metadata["num_classes"], metadata["class_names"]
    yield f"# {name}"
    yield (
        f"A BigGAN generator as a TensorFlow SavedModel: images of {width}x{height} pixels,"
        f" {metadata['image_channels']} channels,"
        f" {f'{classes} classes' if classes else 'no classes'}; {metadata['parameters']:,}"
        f" parameters, kernels stored as {metadata['dtype']}, computed in"
        f" {metadata['compute_dtype']}."
    )
    yield f"![Classes as rows, truncation {TRUNCATION}]({SAMPLES_FILE})"
    yield f"## Licence\n\n{metadata['licence_note'] or NO_NOTE}"
    yield f"## Call\n\n```python\n{_example(metadata)}\n```"
    yield "## Signatures\n\n```text\n" + "\n".join(signature_lines(signatures)) + "\n```"
    yield f"A request may have {metadata['max_batch']} rows."
    yield f"## Truncation\n\n{MEANING[metadata['truncation_mode']]} {_table(metadata)}"
    if names:
        yield "## Classes\n\n" + "\n".join(f"{index}. {one}" for index, one in enumerate(names))
    provenance = json.dumps(metadata["provenance"], indent=2, ensure_ascii=False)
    yield "## Where it comes from"
    yield "\n".join(f"- {sentence}" for sentence in sentences(metadata["provenance"]))
    yield f"```json\n{provenance}\n```"


def _table(metadata):
    rows = len(metadata["truncation_grid"])
    if rows < 2:
        return "Batch norms use the same statistics at every truncation."
    return (
        f"Batch norms use statistics of that truncation, interpolated in a table of {rows} rows"
        f" ({metadata['bn']})."
    )


def _example(metadata):
    classes, latent_dim = metadata["num_classes"], metadata["latent_dim"]
    label = "label=tf.constant([0], tf.int64), " if classes else ""
    y = f"y = np.eye({classes}, dtype='float32')[[0]]  # one-hot, or a mixture\n" if classes else ""
    return (
        "import numpy as np, tensorflow as tf, tensorflow_hub as hub\n\n"
        "module = hub.load('path/of/this/folder')\n"
        f"z = 0.5 * np.random.randn(1, {latent_dim}).astype('float32')\n{y}"
        f"images = module(z, {'y, ' if classes else ''}0.5)  # float32 in [-1, 1]\n\n"
        "png = module.signatures['generate_png'](\n"
        f"    {label}seed=tf.constant([7], tf.int64), truncation=tf.constant([0.5])\n"
        ")['image_bytes'][0].numpy()"
    )


def description(folder: str) -> str:
    """Returns a description of a SavedModel as text: its metadata and its signatures.

    Raises:
      ValueError: The folder holds no SavedModel.
    """
    signatures, metadata = read_signatures(folder), read_metadata(folder)
    lines = [folder, ""]
    if metadata:
        lines += _metadata_lines(metadata)
    else:
        lines.append("not exported by tf_biggan: there is no metadata")
    return "\n".join([*lines, "", "signatures", *signature_lines(signatures)])


def _metadata_lines(metadata):
    facts = {k: v for k, v in metadata.items() if k not in LATER}
    facts |= {k: _shortened(metadata[k]) for k in ("class_names", "truncation_grid")}
    width = max(map(len, facts))
    lines = [f"{name:<{width}}  {_plain(value)}" for name, value in facts.items()]
    for name in ("provenance", "config"):
        lines += ["", name]
        lines += [f"  {key}: {_plain(value)}" for key, value in metadata[name].items()]
    return lines


def _shortened(values):
    if len(values) <= MANY:
        return "; ".join(map(_plain, values)) or "none"
    ends = "; ".join(map(_plain, values[:3])), "; ".join(map(_plain, values[-1:]))
    return f"{len(values)}: {ends[0]}; ... {ends[1]}"


def _plain(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
