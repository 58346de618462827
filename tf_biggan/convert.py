"""Converts published weights to a model for sampling, evaluation, export and fine-tuning.

Examples:
  python -m tf_biggan.convert --input=G_ema.pth --output=models/biggan128
  python -m tf_biggan.convert --to=biggan_pytorch --input=runs/birds --output=pytorch_weights

The code base, the architecture and all sizes are found from the tensors. The output is a folder
with config.json, whose "provenance" records the conversion, the weights and the class names.
"""

from __future__ import annotations

from tf_biggan import checks
from tf_biggan.cli import flags
from tf_biggan.cli.convert_settings import IMAGENET, NO_NAMES, ConvertConfig
from tf_biggan.cli.terminal import quiet_tensorflow
from tf_biggan.files.text_files import read_text

IMAGENET_CLASSES = 1000


def main(config: ConvertConfig) -> int:
    """Runs the command and returns its exit code."""
    quiet_tensorflow()
    return _convert_here(config) if config.to is None else _convert_back(config)


def _convert_here(config: ConvertConfig) -> int:
    from tf_biggan.conversion.converter import build_networks, plan_conversion, provenance
    from tf_biggan.conversion.families import Choices
    from tf_biggan.conversion.optimizer_states import optimizer_slots
    from tf_biggan.conversion.weight_sources import open_source
    from tf_biggan.files.atomic import check_new
    from tf_biggan.store.model_directory import write_directory

    check_new(config.output)
    source = open_source(config.input, config.family, config.suffix)
    names = Choices.__dataclass_fields__
    plan = plan_conversion(source, Choices(**{name: getattr(config, name) for name in names}))
    print(*plan.describe(), sep="\n")
    networks = build_networks(plan)
    classes = next(iter(networks.values())).num_classes
    write_directory(
        config.output,
        networks,
        _class_names(config.class_names, classes),
        provenance(plan, config.licence_note),
        optimizer_slots(plan, networks),
    )
    if "generator" in networks:
        print(f"Wrote {config.output}, for --model of evaluate and --init_from of train.")
    else:
        print(f"Wrote {config.output}: a discriminator; there is no generator to sample from.")
    return 0


def _class_names(wanted: str | None, num_classes: int) -> tuple[str, ...]:
    """Returns a name for each class, or an empty tuple."""
    from tf_biggan.data.classes import imagenet_classes

    if wanted == NO_NAMES or (wanted is None and num_classes != IMAGENET_CLASSES):
        return ()
    if wanted in (None, IMAGENET):
        return tuple(imagenet_classes().values())
    lines = read_text(wanted, f"class names {wanted!r}").split("\n")
    return tuple(line.strip() for line in lines if line.strip())


def _convert_back(config: ConvertConfig) -> int:
    from tf_biggan.conversion.biggan_pytorch_arguments import argument_lines
    from tf_biggan.conversion.to_biggan_pytorch import write_checkpoints

    networks = _networks_of(config.input)
    files = write_checkpoints(networks, config.output, config.format)
    print(*(f"Wrote {file}" for file in files), *argument_lines(networks), sep="\n")
    return 0


def _networks_of(path: str) -> dict:
    """Returns the networks of a run or of a model folder, by their names in a model folder."""
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
    flags.run(main, ConvertConfig)
