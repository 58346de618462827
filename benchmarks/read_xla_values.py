"""Writes a run's folder from values that `run_xla_program.py` saved on another machine.

    python benchmarks/read_xla_values.py program32 --iteration=200 --run_dir=runs/program32

Commands such as `python -m tf_biggan.sample` can then open the run, and `python -m tf_biggan.train`
can resume it. The dataset in config.json is the one that was given to `write_xla_program.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from write_xla_program import variables_of

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.run_directory import write_config
from tf_biggan.training.start import create_state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--iteration", type=int, required=True)
    parser.add_argument("--run_dir", required=True)
    flags = parser.parse_args()
    about = json.loads((flags.folder / "program.json").read_text())
    config = TrainConfig.from_groups(about["config"], str(flags.folder))
    state = create_state(config)
    stored = np.load(flags.folder / f"values_{flags.iteration}.npz")
    variables = variables_of(state)
    for number, described in enumerate(about["variables"]):
        variables[described["key"]].assign(stored[f"arr_{number}"])
    write_config(flags.run_dir, config)
    Checkpoints(state, flags.run_dir, keep=1).save()
    print(f"{flags.run_dir}: iteration {state.iteration.numpy()}")


if __name__ == "__main__":
    sys.exit(main())
