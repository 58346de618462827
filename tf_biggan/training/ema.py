"""The exponential moving average of a generator: every variable, statistics and u included."""

from __future__ import annotations

import keras
from keras import ops


def ema_decay(iteration, decay: float, start: int):
    """0 before iteration `start` (counted from 1), so that the average is a copy; then `decay`.

    Source: BigGAN-PyTorch, utils.py `ema.update`, which counts the same way in training.
    """
    return ops.where(ops.cast(iteration, "int64") < start, 0.0, decay)


def update_ema(average: keras.Model, source: keras.Model, decay) -> None:
    """average = decay * average + (1 - decay) * source, for every variable of two equal models.

    Args:
      average: the model that is moved.
      source: the model in training.
      decay: scalar from 0 (copy) to 1, as `ema_decay` gives it.
    """
    weights = {}
    for target, value in zip(average.variables, source.variables, strict=True):
        if target.dtype not in weights:
            weight = ops.cast(decay, target.dtype)
            weights[target.dtype] = (weight, 1 - weight)
        old, new = weights[target.dtype]
        target.assign(old * target + new * ops.convert_to_tensor(value))
