"""Variables of a network by their paths below it, which no name of the network is part of."""

from __future__ import annotations

import keras


def variables_by_path(network: keras.Model) -> dict[str, keras.Variable]:
    """Every variable by its path below the network, such as "block_0/conv_1/kernel"."""
    prefix = f"{network.path}/"
    return {variable.path.removeprefix(prefix): variable for variable in network.variables}
