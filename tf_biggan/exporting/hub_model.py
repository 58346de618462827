"""Uploads a model to the Hugging Face Hub: a model folder with a model card and a sheet of samples.

`open_model` and the flag --model accept the model's address, hf://OWNER/NAME, in place of a local
folder.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping

from tf_biggan import checks
from tf_biggan.cli.export_settings import EFFECTIVE_IN, ExportConfig
from tf_biggan.exporting.client_snippets import client_snippet
from tf_biggan.exporting.model_card import (
    NO_NOTE,
    SAMPLES_FILE,
    folder_provenance,
    sentences,
    write_samples_of,
)
from tf_biggan.store.hugging_face import Address, check_upload, upload
from tf_biggan.store.model_directory import write_directory
from tf_biggan.store.opened_model import OpenedModel, open_discriminator, open_model

CARD_FILE = "README.md"
# Values of metadata in the card, which the pages of the hub read. TASK is one of the hub's tasks.
LIBRARY, TASK = "tf_biggan", "unconditional-image-generation"
TAGS = ("biggan", "gan", "image-generation", "tensorflow", "keras")
# The hub's identifiers of licences that weights often have. The hub refuses unknown identifiers.
LICENCES = frozenset(
    "afl-3.0 agpl-3.0 apache-2.0 bsd-2-clause bsd-3-clause cc-by-3.0 cc-by-4.0 cc-by-nc-3.0"
    " cc-by-nc-4.0 cc-by-nc-nd-4.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0"
    " cc-by-sa-4.0 cc0-1.0 creativeml-openrail-m gpl-2.0 gpl-3.0 isc lgpl-3.0 mit mpl-2.0 openrail"
    " unlicense".split()
)
OTHER_LICENCE, NO_LICENCE = "other", "unknown"
# The upload is the folder that --format=safetensors writes, so these settings have no effect.
UNUSED = (
    "format",
    "truncation_mode",
    *(name for name, formats in EFFECTIVE_IN.items() if "safetensors" not in formats),
)


def push(config: ExportConfig) -> str:
    """Uploads the model that the settings name to the address in `push_to`.

    Returns:
      The address of the uploaded model, with the commit as its revision.

    Raises:
      ValueError: The model, a setting, the token or the address is wrong, or the upload fails. The
        message is one line.
    """
    address = Address.parse(config.push_to)
    check_upload(address)
    changed = config.changed(UNUSED)
    checks.require(
        not changed,
        "--push_to uploads the weights as they are, so flags of SavedModels have no effect; leave"
        " them out",
        given=changed,
    )
    opened = open_model(config.model, raw=config.raw, iteration=config.iteration)
    checks.require(
        opened.kind != "saved_model",
        "--model must be a run or a converted model; the weights of a SavedModel are for inference"
        " only and are not uploaded",
        model=config.model,
    )
    with tempfile.TemporaryDirectory(prefix="tf_biggan-") as temporary:
        folder = os.path.join(temporary, "model")
        _write(folder, config, opened, address)
        return str(upload(folder, address))


def _write(folder: str, config: ExportConfig, opened: OpenedModel, address: Address) -> None:
    networks = {"generator": opened.generator}
    if config.with_discriminator:
        networks["discriminator"] = open_discriminator(opened)
    provenance = folder_provenance(opened, config.licence_note)
    write_directory(folder, networks, opened.class_names, provenance)
    write_samples_of(
        opened.generator,
        opened.class_names,
        config.truncation_mode,
        os.path.join(folder, SAMPLES_FILE),
    )
    with open(os.path.join(folder, CARD_FILE), "w", encoding="utf-8") as file:
        file.write(card(address, opened, provenance))


def card(address: Address, opened: OpenedModel, provenance: Mapping[str, object]) -> str:
    """Returns the text of README.md, which begins with the metadata that the hub's pages read."""
    return "\n\n".join(_parts(address, opened, provenance)) + "\n"


def licence(note: str | None) -> str:
    """Returns the licence for the metadata: an identifier of `LICENCES`, "other" or "unknown"."""
    if not note:
        return NO_LICENCE
    return note.lower() if note.lower() in LICENCES else OTHER_LICENCE


def _parts(address, opened, provenance):
    from huggingface_hub import ModelCardData

    generator, note = opened.generator, provenance.get("licence_note")
    data = ModelCardData(
        license=licence(note), library_name=LIBRARY, pipeline_tag=TASK, tags=list(TAGS)
    )
    yield f"---\n{data.to_yaml()}\n---"
    yield f"# {address.repository.partition('/')[2]}"
    (height, width), classes = generator.image_size, generator.num_classes
    yield (
        f"A BigGAN generator for images of {height}x{width} pixels,"
        f" {generator.image_channels} channels,"
        f" {f'{classes} classes' if classes else 'no classes'};"
        f" {generator.count_params():,} parameters."
    )
    yield f"![Classes as rows, seeds as columns]({SAMPLES_FILE})"
    yield f"## Licence\n\n{note or NO_NOTE}"
    yield f"## Use\n\n```python\n{_example(address, generator)}\n```"
    if opened.class_names:
        listed = (f"{index}. {name}" for index, name in enumerate(opened.class_names))
        yield "## Classes\n\n" + "\n".join(listed)
    told = sentences({"model": opened.description})
    written = json.dumps(provenance, indent=2, ensure_ascii=False)
    yield "\n\n".join(["## Provenance", *told, f"```json\n{written}\n```"])


def _example(address, generator) -> str:
    facts = {
        "num_classes": generator.num_classes,
        "image_size": generator.image_size,
        "image_channels": generator.image_channels,
        "latent_dim": generator.latent_dim,
        "truncation_mode": "scale",
    }
    return client_snippet("safetensors", facts, str(address))
