"""Code that the REST and gRPC clients share: command line, batches, retries and output files."""

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
    """Raised if the server says that it is too busy, so that a retry may succeed.

    Attributes:
      wait_seconds: Shortest time to wait before a retry that the server asks for, in seconds.
    """

    def __init__(self, message: str, wait_seconds: float = 0.0):
        super().__init__(message)
        self.wait_seconds = wait_seconds


class FinalError(Exception):
    """Raised if the server refuses the request or cannot be reached, so a retry would not help."""


def parser(description: str, server: str) -> argparse.ArgumentParser:
    """Returns the parser for the arguments of both clients.

    Args:
      description: Description of the client in its help.
      server: Default address of the server.
    """
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--server", default=server, help="address of the server; default: %(default)s"
    )
    name = os.environ.get("MODEL_NAME")
    made.add_argument(
        "--model",
        default=name,
        required=name is None,
        help="name of the model; default: the environment variable MODEL_NAME",
    )
    made.add_argument("--version", type=int, help="version of the model; default: the newest")
    what = made.add_mutually_exclusive_group()
    what.add_argument(
        "--label", type=int, help="index of the class; leave it out if the model has no classes"
    )
    what.add_argument("--class_name", help="name of the class, if the model has class names")
    made.add_argument(
        "--seeds",
        type=seeds,
        default=[0],
        help="seeds of the pictures, such as 0-15,20; default: 0",
    )
    made.add_argument("--truncation", type=float, default=0.5, help="default: %(default)s")
    made.add_argument("--output", default=".", help="folder to write; default: the current one")
    made.add_argument(
        "--batch",
        type=int,
        default=8,
        help="pictures per request, at most the limit in the model's batching_params.pbtxt;"
        " default: 8",
    )
    made.add_argument(
        "--timeout", type=float, default=30.0, help="seconds per request; default: 30"
    )
    made.add_argument("--retries", type=int, default=4, help="retries per request; default: 4")
    return made


def seeds(text: str) -> list[int]:
    """Returns the numbers in a list such as "0-15,20"."""
    numbers = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        first, last = int(first), int(last if dash else first)
        if last < first:
            raise argparse.ArgumentTypeError(
                f"a range must begin with its smaller number, such as 2-5, not {part}"
            )
        numbers += range(first, last + 1)
    return numbers


def columns(arguments: argparse.Namespace, batch: Sequence[int]) -> dict[str, list]:
    """Returns the inputs of one request by name, each with one value per image.

    Args:
      arguments: Arguments of the command line. Without a class, the request has no label, as models
        without classes require.
      batch: Seeds of the images.
    """
    made = {"seed": list(batch), "truncation": [arguments.truncation] * len(batch)}
    if arguments.class_name is not None:
        made["class_name"] = [arguments.class_name] * len(batch)
    elif arguments.label is not None:
        made["label"] = [arguments.label] * len(batch)
    return made


def signature(arguments: argparse.Namespace) -> str:
    """Returns the name of the signature that takes the inputs of `columns`."""
    return SIGNATURE if arguments.class_name is None else SIGNATURE_BY_NAME


def batches(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Yields parts of `numbers` with `size` elements. The last part may be smaller."""
    for start in range(0, len(numbers), max(1, size)):
        yield numbers[start : start + max(1, size)]


def with_retries(call: Callable, retries: int, sleep: Callable[[float], None] = time.sleep):
    """Calls a function, retrying after each TemporaryError, and returns its result.

    The wait doubles after each attempt. Part of it is random, so that clients that failed at the
    same time do not retry at the same time.

    Args:
      call: Function without arguments.
      retries: Maximum number of retries.
      sleep: Function that waits for a number of seconds.

    Raises:
      TemporaryError: The last attempt failed too.
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
    """Requests all images, saves them, prints their paths and returns the exit code.

    Args:
      arguments: Arguments of the command line.
      ask: Function that takes the inputs of one request and returns the PNG bytes of its images.
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
    """Saves one image and returns its path, such as "207-seed1-truncation0.5.png".

    The file is written under another name and then renamed, so that it is never incomplete.
    """
    what = arguments.class_name if arguments.class_name is not None else arguments.label
    words = [] if what is None else ["".join(c if c.isalnum() else "_" for c in str(what))]
    name = "-".join([*words, f"seed{seed}", f"truncation{arguments.truncation:g}"])
    path = os.path.join(arguments.output, f"{name}.png")
    with open(f"{path}.part", "wb") as file:
        file.write(picture)
    os.replace(f"{path}.part", path)
    return path
