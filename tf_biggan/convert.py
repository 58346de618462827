"""Turns published weights into a model for sampling, evaluation, export and fine-tuning here.

python -m tf_biggan.convert --input=G_ema.pth --output=models/biggan128

The code base, the kind of network and all sizes are found from the tensors. The output is a folder
with config.json (its "provenance" says what was done), the weights and, where known, class names.
Back again, for checks there: --to=biggan_pytorch, from a run or a converted model.
"""

from __future__ import annotations

from absl import flags as absl_flags

from tf_biggan import checks
from tf_biggan.cli import flags
from tf_biggan.cli.terminal import quiet_tensorflow
from tf_biggan.conversion.rules import BIGGAN_PYTORCH, FAMILIES
from tf_biggan.files.text_files import read_text

FORMATS = ("pth", "npz")
CHANNEL_ORDERS = ("rgb", "bgr")
IMAGENET_CLASSES = 1000


def define(flag_values: absl_flags.FlagValues = absl_flags.FLAGS) -> None:
    """Defines the command's flags."""
    where = dict(flag_values=flag_values)
    known = "; ".join(f"{name} ({text})" for name, text in FAMILIES.items())
    absl_flags.DEFINE_enum(
        "from", None, list(FAMILIES), f"The code base; found where not given. {known}.", **where
    )
    flags.define_path("input", "File or folder of the weights.", **where)
    flags.define_path("output", "Folder to write; must be new or empty.", **where)
    absl_flags.DEFINE_string(
        "suffix", None, "Of a folder with several savings: which, such as best0 or copy1.", **where
    )
    absl_flags.DEFINE_integer(
        "resolution", None, "Of the images, where the tensors leave it open.", **where
    )
    absl_flags.DEFINE_integer("num_classes", None, "Checked against the tensors.", **where)
    absl_flags.DEFINE_float(
        "sn_epsilon", None, "Of the spectral norm; default: as published by the family.", **where
    )
    absl_flags.DEFINE_float(
        "bn_epsilon", None, "Of the batch norms; default: as published by the family.", **where
    )
    absl_flags.DEFINE_float(
        "output_bn_epsilon", None, "Of the generator's last batch norm; default likewise.", **where
    )
    absl_flags.DEFINE_enum(
        "channel_order", None, CHANNEL_ORDERS, "mmagic: of the images trained on.", **where
    )
    absl_flags.DEFINE_integer(
        "attention_block", None, "tfhub: the block, from 0, that attention follows.", **where
    )
    absl_flags.DEFINE_boolean(
        "rectified_shortcuts",
        None,
        "mmagic: whether the discriminator's ReLUs work in place, which rectifies its shortcuts;"
        " default: as the configuration in the file says, else no.",
        **where,
    )
    flags.define_path(
        "class_names",
        "imagenet, none, or a text file with one name a line; default: imagenet for 1,000 classes.",
        **where,
    )
    absl_flags.DEFINE_string(
        "licence_note",
        None,
        "Text about the licence of the weights. Runs and exports that start from them keep it.",
        **where,
    )
    absl_flags.DEFINE_enum("to", None, [BIGGAN_PYTORCH], "Convert back instead.", **where)
    absl_flags.DEFINE_enum(
        "format", "pth", FORMATS, "Of files written by --to; pth needs PyTorch.", **where
    )


def main(flag_values: absl_flags.FlagValues = absl_flags.FLAGS) -> int:
    """Runs the command."""
    values = {name: flag_values[name].value for name in flag_values}
    quiet_tensorflow()
    if values["to"]:
        return _back(values)
    from tf_biggan.conversion.converter import build_networks, plan_conversion, provenance
    from tf_biggan.conversion.families import Choices
    from tf_biggan.conversion.optimizer_states import optimizer_slots
    from tf_biggan.conversion.weight_sources import open_source
    from tf_biggan.files.atomic import check_new
    from tf_biggan.store.model_directory import write_directory

    check_new(values["output"])
    source = open_source(values["input"], values["from"], values["suffix"])
    names = Choices.__dataclass_fields__
    plan = plan_conversion(source, Choices(**{name: values[name] for name in names}))
    print(*plan.describe(), sep="\n")
    networks = build_networks(plan)
    classes = next(iter(networks.values())).num_classes
    write_directory(
        values["output"],
        networks,
        _class_names(values["class_names"], classes),
        provenance(plan, values["licence_note"]),
        optimizer_slots(plan, networks),
    )
    if "generator" in networks:
        print(f"Wrote {values['output']}, for --model of evaluate and --init_from of train.")
    else:
        print(f"Wrote {values['output']}: a discriminator; there is no generator to sample from.")
    return 0


def _class_names(wanted: str | None, num_classes: int) -> tuple[str, ...]:
    """One name a class, or none."""
    from tf_biggan.data.classes import imagenet_classes

    if wanted == "none" or (wanted is None and num_classes != IMAGENET_CLASSES):
        return ()
    if wanted in (None, "imagenet"):
        return tuple(imagenet_classes().values())
    lines = read_text(wanted, f"class names {wanted!r}").split("\n")
    return tuple(line.strip() for line in lines if line.strip())


def _back(values) -> int:
    from tf_biggan.conversion.biggan_pytorch_arguments import argument_lines
    from tf_biggan.conversion.to_biggan_pytorch import write_checkpoints

    networks = _networks_of(values["input"])
    files = write_checkpoints(networks, values["output"], values["format"])
    print(*(f"Wrote {file}" for file in files), *argument_lines(networks), sep="\n")
    return 0


def _networks_of(path: str) -> dict:
    """Networks of a run or of a model's folder, by the names of a model's folder."""
    from tf_biggan.store.model_directory import is_model_directory, load_network, read_directory
    from tf_biggan.store.run_directory import is_run
    from tf_biggan.store.run_networks import restore_networks

    checks.require_existing("input", path, "the folder of a run or of a model")
    if is_run(path):
        names = {"generator": "average", "raw_generator": "generator"}
        names["discriminator"] = "discriminator"
        restored = restore_networks(path, list(names.values())).networks
        return {name: restored[stored] for name, stored in names.items()}
    checks.require(
        is_model_directory(path), "the input must be the folder of a run or of a model", path=path
    )
    directory = read_directory(path)
    return {name: load_network(directory, name) for name in directory.networks}


if __name__ == "__main__":
    define()
    flags.run(main, required=("input", "output"))
