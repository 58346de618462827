"""Settings that define when a training run counts as collapsed, and what the run does then."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tf_biggan.cli.settings import Settings, setting

# Values of --on_collapse.
WARN, STOP, ROLLBACK = ACTIONS = ("warn", "stop", "rollback")


@dataclass(frozen=True)
class CollapseSettings(Settings):
    """Settings for detecting a collapse of the training and reacting to it."""

    on_collapse: str = setting(
        WARN,
        "What to do when the training collapses. warn prints a line. stop saves a checkpoint and"
        " ends with exit code 1. rollback returns to the best checkpoint and resumes training"
        " with lower learning rates; it needs --eval_every.",
        choices=ACTIONS,
        may_change=True,
    )
    collapse_factor: float = setting(
        2.0,
        "A score is a sign of collapse if it is worse than the best score of the run by more than"
        " this factor.",
        minimum=1.0,
        may_change=True,
    )
    collapse_evaluations: int = setting(
        2,
        "Number of consecutive evaluations that must show the same sign before it counts as a"
        " collapse.",
        minimum=1,
        may_change=True,
    )
    rollback_rate_factor: float = setting(
        0.5,
        "Factor by which each rollback multiplies both learning rates.",
        minimum=0.001,
        maximum=1.0,
        may_change=True,
    )
    max_rollbacks: int = setting(
        3,
        "Maximum number of rollbacks in a run. The next collapse stops the run.",
        minimum=1,
        may_change=True,
    )


COLLAPSE_FLAGS = tuple(field.name for field in dataclasses.fields(CollapseSettings))
