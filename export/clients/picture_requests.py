"""What the REST and the gRPC client share: arguments, batches, retries, and files."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence

SIGNATURE = "generate_png"
SIGNATURE_BY_NAME = "generate_png_by_name"
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 10.0


class TemporaryError(Exception):
    """The server is overloaded or too slow: the same request may succeed later.

    Attributes:
      wait_seconds: the shortest wait that the server asks for.
    """

    def __init__(self, message: str, wait_seconds: float = 0.0):
        super().__init__(message)
        self.wait_seconds = wait_seconds


class FinalError(Exception):
    """The server refuses the request, or is not there: asking again would not help."""


def parser(description: str, server: str) -> argparse.ArgumentParser:
    """Arguments of both clients."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--server", default=server, help="default: %(default)s")
    name = os.environ.get("MODEL_NAME")
    made.add_argument(
        "--model",
        default=name,
        required=name is None,
        help="name of the model; default: the environment variable MODEL_NAME",
    )
    made.add_argument("--version", type=int, help="default: the newest")
    what = made.add_mutually_exclusive_group()
    what.add_argument("--label", type=int, help="the class by number")
    what.add_argument("--class_name", help="the class by name, where the model has names")
    made.add_argument("--seeds", type=seeds, default=[0], help="such as 0-15,20; default: 0")
    made.add_argument("--truncation", type=float, default=0.5, help="default: %(default)s")
    made.add_argument("--output", default=".", help="folder of the pictures; default: this one")
    made.add_argument(
        "--batch",
        type=int,
        default=8,
        help="pictures a request, at most the limit in the model's batching_params.pbtxt;"
        " default: 8",
    )
    made.add_argument("--timeout", type=float, default=30.0, help="seconds a request; default: 30")
    made.add_argument("--retries", type=int, default=4, help="of a request; default: 4")
    return made


def seeds(text: str) -> list[int]:
    """The numbers in a list such as 0-15,20."""
    numbers = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        first, last = int(first), int(last if dash else first)
        if last < first:
            raise argparse.ArgumentTypeError(f"a range must rise, such as 2-5, not {part}")
        numbers += range(first, last + 1)
    return numbers


def columns(arguments: argparse.Namespace, batch: Sequence[int]) -> dict[str, list]:
    """The inputs of one request: a value a picture. Models without classes take no label."""
    made = {"seed": list(batch), "truncation": [arguments.truncation] * len(batch)}
    if arguments.class_name is not None:
        made["class_name"] = [arguments.class_name] * len(batch)
    elif arguments.label is not None:
        made["label"] = [arguments.label] * len(batch)
    return made


def signature(arguments: argparse.Namespace) -> str:
    """The signature that takes these columns."""
    return SIGNATURE if arguments.class_name is None else SIGNATURE_BY_NAME


def batches(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """`numbers` in parts of `size`, the last one smaller."""
    for start in range(0, len(numbers), max(1, size)):
        yield numbers[start : start + max(1, size)]


def with_retries(call: Callable, retries: int, sleep: Callable[[float], None] = time.sleep):
    """What `call` returns, called again after a TemporaryError.

    Waits twice as long every time, with a random share so that clients that failed together do not
    come back together.
    """
    for attempt in range(retries + 1):
        try:
            return call()
        except TemporaryError as error:
            if attempt == retries:
                raise
            longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**attempt)
            sleep(max(error.wait_seconds, random.uniform(longest / 2, longest)))


def run(arguments: argparse.Namespace, ask: Callable[[dict[str, list]], list[bytes]]) -> int:
    """Asks for all pictures and writes them; the exit code.

    Args:
      ask: the PNG bytes for the columns of one request.
    """
    try:
        os.makedirs(arguments.output, exist_ok=True)
        for batch in batches(arguments.seeds, arguments.batch):
            inputs = columns(arguments, batch)
            pictures = with_retries(lambda inputs=inputs: ask(inputs), arguments.retries)
            for seed, picture in zip(batch, pictures, strict=True):
                print(save(picture, arguments, seed))
    except (TemporaryError, FinalError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def save(picture: bytes, arguments: argparse.Namespace, seed: int) -> str:
    """Writes one picture under a name that says what it is; never half a file under that name."""
    what = arguments.class_name if arguments.class_name is not None else arguments.label
    words = [] if what is None else ["".join(c if c.isalnum() else "_" for c in str(what))]
    name = "-".join([*words, f"seed{seed}", f"truncation{arguments.truncation:g}"])
    path = os.path.join(arguments.output, f"{name}.png")
    with open(f"{path}.part", "wb") as file:
        file.write(picture)
    os.replace(f"{path}.part", path)
    return path
