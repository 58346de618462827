"""Settings of a training run that say when it has collapsed, and what happens then."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tf_biggan.cli.settings import Settings, setting

# What a collapse leads to.
WARN, STOP, ROLLBACK = ACTIONS = ("warn", "stop", "rollback")


@dataclass(frozen=True)
class CollapseSettings(Settings):
    """Signs of a collapse, and the answer to it."""

    on_collapse: str = setting(
        WARN,
        "Answer to a collapse of the training. warn prints a line; stop saves a checkpoint and ends"
        " with exit code 1; rollback returns to the best checkpoint and trains on with lower"
        " learning rates, which needs --eval_every.",
        choices=ACTIONS,
        may_change=True,
    )
    collapse_factor: float = setting(
        2.0,
        "A score that is worse than the best one by more than this factor is a sign of collapse.",
        minimum=1.0,
        may_change=True,
    )
    collapse_evaluations: int = setting(
        2,
        "Number of evaluations in a row that must show the same sign before it is a collapse.",
        minimum=1,
        may_change=True,
    )
    rollback_rate_factor: float = setting(
        0.5,
        "Factor on both learning rates at each rollback.",
        minimum=0.001,
        maximum=1.0,
        may_change=True,
    )
    max_rollbacks: int = setting(
        3,
        "Number of rollbacks of a run. The next collapse stops it.",
        minimum=1,
        may_change=True,
    )


COLLAPSE_FLAGS = tuple(field.name for field in dataclasses.fields(CollapseSettings))
