"""The layer list of pytorch-pretrained-BigGAN may have an odd number of blocks at a resolution."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.conversion.command import converted, save, save_json, torch_tensors
from tests.golden_files import golden
from tf_biggan.conversion.converter import plan_conversion
from tf_biggan.conversion.families import Choices
from tf_biggan.conversion.weight_sources import open_source

PLACE = r"^generator\.layers\.(\d+)\."
FAR = 1e6


def _with_one_more_block(fixture, after, place):
    """Returns tensors that compute the same function with one more block.

    The new block is a copy of the block at `place`. Its last batch norm gives such low values that
    nothing passes the ReLU, and its last convolution has no bias.
    """
    weights, config = fixture.weights(""), fixture.info["config"]
    made = {}
    for key, value in weights.items():
        match = re.match(PLACE, key)
        number = int(match[1]) if match else -1
        moved = re.sub(PLACE, f"generator.layers.{number + 1}.", key) if number >= place else key
        made[moved] = value
        if number == place:
            made[key] = value
    prefix = f"generator.layers.{place}."
    replaced = {"bn_3.running_means": FAR, "bn_3.running_vars": 1, "conv_3.bias": 0}
    for name, value in replaced.items():
        made[prefix + name] = np.full_like(made[prefix + name], value)
    layers = list(config["layers"])
    layers.insert(after, [False, *layers[after][1:]])
    return made, {**config, "layers": layers}


def _written(tmp_path):
    fixture = golden("hf_tiny32")
    # Block 6 keeps width and size. Its index in the file is 7, because the attention layer comes
    # before it.
    weights, config = _with_one_more_block(fixture, after=6, place=7)
    path = save(torch_tensors(weights), tmp_path / "x-pytorch_model.bin")
    return fixture, path, config


def test_nine_blocks_give_the_images_of_the_reference(tmp_path):
    fixture, path, config = _written(tmp_path)
    save_json(config, tmp_path / "x-config.json")
    networks, _ = converted(path, tmp_path / "model")
    generator = networks["generator"]
    assert (len(generator.block_specs), generator.depth) == (9, 1)
    fixture.assert_close(generator(fixture.arrays["in/z"], fixture.arrays["in/y"]), "out_t1.0")


def test_without_its_configuration_blocks_that_are_no_pairs_are_refused(tmp_path):
    _, path, _ = _written(tmp_path)
    with pytest.raises(ValueError, match=r"odd number of BigGAN-deep blocks .* config\.json"):
        plan_conversion(open_source(str(path)), Choices())
