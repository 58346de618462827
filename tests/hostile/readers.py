"""The readers of hostile files: the commands, and the functions of the package that they call.

`python -m tests.hostile.readers FOLDER` makes every file, reads it in one process and prints a line
of JSON for each file: the time, the growth of memory, and the error message.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import sys
import time
from collections.abc import Callable

from tests.hostile.files import CASES, Hostile, write

MODEL = os.path.join(os.path.dirname(__file__), "..", "trained_digits")


@dataclasses.dataclass(frozen=True)
class Reader:
    """One way into the product.

    Attributes:
      call: reads a path in this process; the second argument is a path to write to.
      command: the command's module and flags, with {path} and {output} in them.
    """

    call: Callable[[str, str], object]
    command: tuple[str, ...]


def _convert(path, output):
    from tests.conversion.command import run

    run(input=path, output=output)


def _weights(path, output):
    from tf_biggan.evaluation.inception.weight_files import open_weight_file

    open_weight_file(path).folded()


def _images(path, output):
    from tf_biggan.evaluation.features.image_sets import open_images

    next(open_images(path, (8, 8), 3).batches(1))


def _invert(path, output):
    from tf_biggan.pictures.inversions import read_target

    read_target(path, (8, 8), 3)


def _sample(path, output):
    from tf_biggan.store.opened_model import open_model

    open_model(path)


DIGITS = ("--reference=digits", "--reference_images=64")
READERS = {
    "convert": Reader(_convert, ("tf_biggan.convert", "--input={path}", "--output={output}")),
    "weights": Reader(
        _weights,
        ("tf_biggan.evaluate", f"--model={MODEL}", *DIGITS, "--inception_weights={path}"),
    ),
    "images": Reader(_images, ("tf_biggan.evaluate", "--images={path}", *DIGITS)),
    "invert": Reader(_invert, ("tf_biggan.invert", f"--model={MODEL}", "--image={path}")),
    "sample": Reader(_sample, ("tf_biggan.sample", "--model={path}", "--output={output}.png")),
}


def outcome(case: Hostile, folder: str) -> dict[str, object]:
    """Reads a case in this process and returns the outcome: JSON values by name."""
    path = write(case, folder)
    _forget_peak()
    before, start, error = _peak(), time.process_time(), None
    try:
        READERS[case.reader].call(path, os.path.join(folder, f"{case.name}.out"))
    except Exception as raised:
        error = raised
    seconds, megabytes = time.process_time() - start, (_peak() - before) / 1e6
    return {
        "kind": case.kind,
        "name": case.name,
        "seconds": round(seconds, 2),
        "megabytes": round(megabytes),
        "error": type(error).__name__,
        "is_refusal": isinstance(error, (ValueError, OSError)),
        "message": str(error),
    }


def _forget_peak() -> None:
    """Resets the peak of memory on Linux. On other systems, it includes earlier cases."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _peak() -> int:
    try:
        with open("/proc/self/status") as file:
            return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except OSError:
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(folder: str) -> None:
    """Reads every case."""
    # Imports and traces happen first, so that they do not count for a case.
    import tensorflow  # noqa: F401

    import tf_biggan.conversion.converter  # noqa: F401

    chosen = [case for case in CASES if not sys.argv[2:] or case.name in sys.argv[2:]]
    for case in chosen:
        print(json.dumps(outcome(case, folder)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
