"""FreezeD: the variables of a discriminator that are still trained."""

from __future__ import annotations

import pytest

from tests.shapes import shapes_only
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.network import variables_by_path
from tf_biggan.training.finetuning.weight_transfer import freeze_blocks


def trained(discriminator):
    """Returns the first parts of the paths of the trainable variables."""
    variables = variables_by_path(discriminator).items()
    return {path.split("/")[0] for path, v in variables if v.trainable}


@pytest.mark.parametrize(
    "architecture, settings, count, frozen",
    [
        ("biggan32", {}, 0, set()),
        ("biggan32", {}, 2, {"block_0", "block_1"}),
        ("biggan32", {"attention_stages": (1,)}, 1, {"block_0"}),
        ("biggan32", {"attention_stages": (1,)}, 2, {"block_0", "block_1", "attention_1"}),
        ("biggan_deep32", {}, 0, set()),
        ("biggan_deep32", {}, 1, {"stem", "block_0"}),
        ("biggan_deep32", {}, 6, {"stem", *(f"block_{i}" for i in range(6))}),
    ],
)
def test_the_first_blocks_with_what_is_among_them(architecture, settings, count, frozen):
    with shapes_only():
        discriminator = Discriminator(architecture, 3, base_channels=4, **settings)
        before = trained(discriminator)
        freeze_blocks(discriminator, count)
        assert before - trained(discriminator) == frozen
        assert {"to_logit", "class_embedding"} <= trained(discriminator)
        # The optimiser gets the trainable variables only.
        names = {v.path for v in discriminator.trainable_variables}
        assert names == {v.path for v in discriminator.variables if v.trainable}


def test_more_blocks_than_there_are():
    with shapes_only():
        discriminator = Discriminator("biggan32", 3, base_channels=4)
        with pytest.raises(ValueError, match=r"`freeze_d_blocks`.* from 0 to 4.*=5"):
            freeze_blocks(discriminator, 5)
