"""Describes the origin of exported weights: sentences for the model card, and licence notes.

Everything is read from the provenance in an export's metadata. Fields may be missing, because older
versions recorded less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MOST_CLASSES = 12


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


def _models(provenance) -> Iterator[Mapping[str, object]]:
    """Yields the exported model, the one that it was fine-tuned from, and so on."""
    model = _object(provenance, "model")
    while model:
        yield model
        model = _object(_object(model, "initialization"), "source")


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
