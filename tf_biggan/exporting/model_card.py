"""Writes the model card and the samples of an export, and tells where its weights come from.

The origin of the weights is read from the provenance in the export's metadata. Fields of the
provenance may be missing, because older versions recorded less.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping

import numpy as np

import tf_biggan
from tf_biggan.data.classes import ClassLookup
from tf_biggan.evaluation.features.generated_images import weights_sha256
from tf_biggan.exporting.client_snippets import client_snippet
from tf_biggan.exporting.saved_model_description import Signature, signature_lines
from tf_biggan.files.png import save_png
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.networks.generator import Generator
from tf_biggan.pictures.image_selection import ImageSelection, row_name
from tf_biggan.pictures.samples import samples_page
from tf_biggan.store.opened_model import OpenedModel, SavedModelGenerator, described

CARD_FILE, SAMPLES_FILE = "model_card.md", "samples.png"
MOST_CELLS = 8
LARGEST_SIDE = 1024
TRUNCATION = 0.5
NO_NOTE = "No note was given. Weights and data have licences of their own."
MEANING = {
    "scale": (
        "Latents are `truncation` times a normal distribution that is cut off at 2, as in"
        " DeepMind's modules. `truncation` is above 0 and at most 1. A lower value gives less"
        " varied images with better Inception Scores."
    ),
    "resample": (
        "Latents are a normal distribution that is cut off at `truncation`, as in the paper."
        " `truncation` is above 0. A lower value gives less varied images with better Inception"
        " Scores."
    ),
}
MOST_CLASSES = 12
# Content of the folder of each format, for the first sentence of the card.
KINDS = {
    "saved_model": "a TensorFlow SavedModel",
    "onnx": "an ONNX file (`generator.onnx`, opset {opset})",
    "tflite": "a TFLite file (`generator.tflite`)",
    "keras": "a Keras file (`generator.keras`)",
    "safetensors": "a model folder of tf_biggan (`config.json` and `generator.safetensors`)",
}


def write_samples(folder: str) -> None:
    """Writes samples.png, a sheet of the SavedModel's images at truncation 0.5.

    Rows are classes, spread evenly over all classes, and columns are seeds. A model without classes
    gets two rows with different seeds. The command `sample` makes the same images from the same
    model, seeds and classes.

    Args:
      folder: Folder of the SavedModel.
    """
    generator = SavedModelGenerator(folder)
    path = os.path.join(folder, SAMPLES_FILE)
    write_samples_of(generator, generator.class_names, generator.truncation_mode, path)


def write_samples_of(
    generator: Generator | SavedModelGenerator,
    class_names: tuple[str, ...],
    truncation_mode: str,
    path: str,
) -> None:
    """Writes a sheet of a generator's images to a PNG file, arranged as in `write_samples`."""
    selection = _samples(generator, class_names)
    # Images are made one by one, so the sheet needs no more memory than a request for one image.
    maker = ImageMaker(generator, truncation_mode=truncation_mode, batch_size=1)
    save_png(samples_page(maker, selection, TRUNCATION), path)


def _samples(generator, class_names) -> ImageSelection:
    """Returns the classes and seeds of the sheet."""
    num_classes = generator.num_classes
    rows, columns = (max(2, min(MOST_CELLS, LARGEST_SIDE // side)) for side in generator.image_size)
    if not num_classes:
        return ImageSelection(np.arange(2 * columns), None, None, columns, None, {})
    rows = min(rows, num_classes)
    classes = [row * num_classes // rows for row in range(rows)]
    lookup = ClassLookup(class_names, num_classes)
    names = tuple(row_name(label, lookup) for label in classes)
    seeds, labels = np.tile(np.arange(columns), rows), np.repeat(np.int32(classes), columns)
    return ImageSelection(seeds, labels, None, columns, names, {})


def write_card(
    folder: str, name: str, metadata: Mapping[str, object], signatures: list[Signature]
) -> None:
    """Writes model_card.md.

    Args:
      folder: Folder of the export.
      name: Name of the model.
      metadata: Content of the export's tf_biggan.json.
      signatures: Signatures of the export; empty if its format has none.
    """
    text = "\n\n".join(part for part in _parts(name, metadata, signatures) if part) + "\n"
    with open(os.path.join(folder, CARD_FILE), "w", encoding="utf-8") as file:
        file.write(text)


def _parts(name, metadata, signatures):
    height, width = metadata["image_size"]
    classes, names = metadata["num_classes"], metadata["class_names"]
    yield f"# {name}"
    kind = metadata.get("export_format", "saved_model")
    form = KINDS[kind].format(**metadata)
    yield (
        f"A BigGAN generator as {form}: images of {height}x{width} pixels,"
        f" {metadata['image_channels']} channels,"
        f" {f'{classes} classes' if classes else 'no classes'}; {metadata['parameters']:,}"
        f" parameters, kernels stored as {metadata['dtype']}, computed in"
        f" {metadata['compute_dtype']}."
    )
    yield f"![Classes as rows, truncation {TRUNCATION}]({SAMPLES_FILE})"
    yield f"## Licence\n\n{metadata['licence_note'] or NO_NOTE}"
    yield f"## Call\n\n```python\n{client_snippet(kind, metadata)}\n```"
    if signatures:
        yield "## Signatures\n\n```text\n" + "\n".join(signature_lines(signatures)) + "\n```"
    yield _notes(kind, metadata)
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


def _notes(kind, metadata) -> str:
    """Returns sentences about the requests that an export accepts, and about how it was checked."""
    if kind == "saved_model":
        return f"A request may have at most {metadata['max_batch']} rows."
    if "runtime" not in metadata:
        return ""
    return (
        f"A batch may have any number N of rows. Inputs are not checked. {metadata['runtime']} gave"
        f" the model's images up to a difference of {metadata['largest_difference']:.1e} (images"
        " are in [-1, 1])."
    )


def sentences(provenance: Mapping[str, object]) -> list[str]:
    """Returns one sentence for each step from the exported model back to the first weights."""
    made = []
    for model in _models(provenance):
        path, source = model.get("path"), _object(_object(model, "initialization"), "source")
        if source:
            made.append(f"{path} was fine-tuned from {source.get('path')}{_weights(source)}.")
            made += _classes(_object(model, "initialization"))
        files = _object(model, "provenance").get("files")
        if isinstance(files, list) and files:
            listed = ", ".join(_file(file) for file in files if isinstance(file, dict))
            family = _object(model, "provenance").get("family", "another code base")
            made.append(f"{path} was converted from weights of {family}: {listed}.")
    return made


def licence_note(own: str | None, provenance: Mapping[str, object]) -> str:
    """Returns the licence note of an export.

    Args:
      own: Note that was given for the export, or None.
      provenance: Provenance of the export.

    Returns:
      The given note, followed by the notes of the models from which the weights were fine-tuned.
    """
    notes = [own] if own else []
    for step, model in enumerate(_models(provenance)):
        note = _object(model, "provenance").get("licence_note")
        if isinstance(note, str) and note and note != own:
            before = f"It started from the weights of {model.get('path')}, whose note is: "
            notes.append(before + note if step else note)
    return " ".join(notes)


def folder_provenance(
    opened: OpenedModel, note: str | None, sha256: str | None = None
) -> dict[str, object]:
    """Returns the provenance for the config.json of a model folder that holds an opened model.

    For a converted model, this is the provenance in its config.json. For a run, this is the run's
    description, with the hash of the weights. In both cases, `note` and the licence notes of source
    models are added.

    Args:
      opened: A run or a converted model.
      note: Note about the licence, or None.
      sha256: The result of `weights_sha256`, or None to compute it if it is needed.
    """
    model = described(opened)
    if opened.kind == "run":
        found = {
            "run": model,
            "weights_sha256": sha256 or weights_sha256(opened.generator),
            "tf_biggan": tf_biggan.__version__,
        }
    else:
        found = dict(model["provenance"])
    note = licence_note(note, {"model": model})
    return found | ({"licence_note": note} if note else {})


def _models(provenance) -> Iterator[Mapping[str, object]]:
    """Yields the exported model, the model that it was fine-tuned or exported from, and so on."""
    model = _object(provenance, "model")
    while model:
        yield model
        started = _object(_object(model, "initialization"), "source")
        model = started or _object(_object(model, "provenance"), "run")


def _classes(initialization) -> Iterator[str]:
    classes = _object(initialization, "classes")
    if classes:
        shown = [f"{name} from {source}" for name, source in classes.items()][:MOST_CLASSES]
        more = len(classes) - len(shown)
        rest = f"; and {more} more classes, listed below" if more else ""
        yield f"Its classes start as follows: {'; '.join(shown)}{rest}."


def _weights(source) -> str:
    sha256 = source.get("weights_sha256")
    return f" (sha256 of its generator's weights: {sha256})" if sha256 else ""


def _file(file) -> str:
    return f"{file.get('name')} (sha256 {file.get('sha256')})"


def _object(content: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}
