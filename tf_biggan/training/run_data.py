"""Checks that a resumed run has the classes and images with which it started."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tf_biggan import checks
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.classes import complete_names, match_classes, name_differences
from tf_biggan.data.source import DataIdentity, Source
from tf_biggan.store.run_directory import (
    is_run,
    read_class_names,
    read_config,
    read_data_identity,
)

ANOTHER_RUN = "or train in another --run_dir"


def data_of_run(
    run_dir: str, source: Source, config: TrainConfig, say: Callable[[str], None]
) -> tuple[Source, DataIdentity]:
    """Returns the data source with the class order of the run, and the identity of the data.

    The path of the data may differ from the first start. Classes in another order are matched by
    name.

    Args:
      run_dir: Folder of the run. If it holds no run yet, the source is returned unchanged.
      source: The data source that `config.data` names.
      config: The configuration of the run.
      say: Prints a sentence.

    Raises:
      ValueError: The run has other classes; or it has other images and `changed_data` is not set.
    """
    if not is_run(run_dir):
        return source, DataIdentity.of(source)
    source = _with_classes_of_run(run_dir, source, read_class_names(run_dir), say)
    identity, stored = DataIdentity.of(source), read_data_identity(run_dir)
    if stored is None:
        _require_same_place(run_dir, config)
        return source, identity
    difference = stored.differences(identity, source.class_names)
    checks.require(
        difference is None or config.data.changed_data,
        f"cannot resume {run_dir}: the images of --dataset have changed: {difference}. Use"
        " the same images as before, add --changed_data to continue with the present ones,"
        f" {ANOTHER_RUN}",
        dataset=source.name,
    )
    if difference is not None:
        say(f"The data have changed since the run began: {difference}.")
    return source, identity


def _with_classes_of_run(
    run_dir: str, source: Source, names: Sequence[str], say: Callable[[str], None]
) -> Source:
    if not names:
        return source
    checks.require(
        bool(source.class_names),
        f"cannot resume {run_dir}: it started with {len(names)} classes, and {source.name}"
        f" has none. Use the same data as before, {ANOTHER_RUN}",
        classes=len(names),
    )
    found = complete_names(source.class_names, max(len(names), int(source.labels.max()) + 1))
    difference = name_differences(names, found, "the run", source.name)
    checks.require(
        difference is None,
        f"cannot resume {run_dir}: it started with other classes; {difference}. Give the"
        f" classes their former names, {ANOTHER_RUN}",
        dataset=source.name,
    )
    labels = match_classes(found, names)
    if labels == tuple(range(len(names))):
        return source
    say(
        f"The classes of {source.name} have another order than those of the run. They are"
        " matched by name."
    )
    return source.with_classes(names, labels)


def _require_same_place(run_dir: str, config: TrainConfig) -> None:
    """Compares the paths of the data; runs of version 0.1 recorded nothing else."""
    then, now = read_config(run_dir).data, config.data
    checks.require(
        (then.dataset, then.split) == (now.dataset, now.split),
        f"cannot resume {run_dir}: --dataset was {_named(then)} and is {_named(now)}. The run"
        " was started by version 0.1, which did not record its images, so they cannot be"
        " compared. Resume once with the data at the former path (a symbolic link is enough),"
        f" {ANOTHER_RUN}",
        dataset=now.dataset,
    )


def _named(data) -> str:
    return data.dataset if data.split is None else f"{data.dataset} (--split={data.split})"
