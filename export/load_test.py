"""Measures images per second, latency and errors of a server's REST API with parallel clients.

python load_test.py --model=birds --label=207 --clients=16 --seconds=20

Each client uses one connection and sends its next request as soon as the last one is answered. The
exit code is 1 if a request failed. Only Python's standard library is needed.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import itertools
import json
import math
import os
import sys
import threading
import time
import urllib.parse

# Percentiles of the latency to report, as fractions.
SHARES = (0.5, 0.9, 0.99)
CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


class Client(threading.Thread):
    """A client that sends requests until a deadline.

    Args:
      arguments: Arguments of the command line.
      seeds: Counter that gives each image a different seed, shared by all clients.
      deadline: Time at which the client stops, on the clock of `time.perf_counter`.

    Attributes:
      seconds: Latency of each successful request, in seconds.
      failures: Number of failures of each kind.
    """

    def __init__(self, arguments: argparse.Namespace, seeds: itertools.count, deadline: float):
        super().__init__(daemon=True)
        self._arguments, self._seeds, self._deadline = arguments, seeds, deadline
        self.seconds: list[float] = []
        self.failures: collections.Counter = collections.Counter()

    def run(self):
        """Sends requests until the deadline."""
        place = urllib.parse.urlsplit(self._arguments.server)
        model = urllib.parse.quote(self._arguments.model)
        address = f"{place.path.rstrip('/')}/v1/models/{model}:predict"
        timeout = self._arguments.timeout
        kind = CONNECTIONS[place.scheme]
        connection = kind(place.hostname, place.port, timeout=timeout)
        while (start := time.perf_counter()) < self._deadline:
            try:
                connection.request("POST", address, self._body())
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures[type(error).__name__] += 1
                connection.close()
                # Without a pause, a server that is not running would be asked in a busy loop.
                time.sleep(0.1)
                continue
            if answer.status == 200:
                self.seconds.append(time.perf_counter() - start)
            else:
                self.failures[f"status {answer.status}"] += 1

    def _body(self) -> str:
        row = {"truncation": self._arguments.truncation}
        if self._arguments.label is not None:
            row["label"] = self._arguments.label
        rows = [{**row, "seed": next(self._seeds)} for _ in range(self._arguments.rows)]
        return json.dumps({"signature_name": self._arguments.signature, "instances": rows})


def measure(arguments: argparse.Namespace) -> dict:
    """Runs all clients in parallel and returns the measurements by name."""
    seeds = itertools.count()
    start = time.perf_counter()
    clients = [
        Client(arguments, seeds, start + arguments.seconds) for _ in range(arguments.clients)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    elapsed = time.perf_counter() - start
    seconds = sorted(itertools.chain.from_iterable(client.seconds for client in clients))
    failures = sum((client.failures for client in clients), collections.Counter())
    return {
        "clients": arguments.clients,
        "rows_per_request": arguments.rows,
        "seconds": round(elapsed, 2),
        "requests": len(seconds),
        "images_per_second": round(len(seconds) * arguments.rows / elapsed, 2),
        "latency_milliseconds": percentiles(seconds),
        "failures": dict(failures),
    }


def percentiles(ordered: list[float]) -> dict[str, float]:
    """Returns percentiles of latencies in milliseconds, with the nearest-rank method.

    Args:
      ordered: Latencies in seconds, in ascending order.

    Returns:
      Milliseconds by "p50", "p90", "p99" and "max", or {} without latencies.
    """
    if not ordered:
        return {}
    found = {f"p{100 * share:g}": ordered[math.ceil(share * len(ordered)) - 1] for share in SHARES}
    return {name: round(1000 * value, 1) for name, value in {**found, "max": ordered[-1]}.items()}


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="http://127.0.0.1:8501", help="default: %(default)s")
    name = os.environ.get("MODEL_NAME")
    parser.add_argument(
        "--model",
        default=name,
        required=name is None,
        help="name of the model; default: the environment variable MODEL_NAME",
    )
    parser.add_argument("--signature", default="generate_png", help="default: %(default)s")
    parser.add_argument(
        "--label", type=int, help="index of the class; leave it out if the model has no classes"
    )
    parser.add_argument("--truncation", type=float, default=0.5, help="default: 0.5")
    parser.add_argument("--clients", type=int, default=8, help="parallel clients; default: 8")
    parser.add_argument("--rows", type=int, default=1, help="images per request; default: 1")
    parser.add_argument("--seconds", type=float, default=20.0, help="duration; default: 20")
    parser.add_argument(
        "--timeout", type=float, default=30.0, help="seconds per request; default: 30"
    )
    arguments = parser.parse_args()
    place = urllib.parse.urlsplit(arguments.server)
    if place.scheme not in CONNECTIONS or not place.hostname:
        parser.error("--server must be an address such as http://127.0.0.1:8501")
    result = measure(arguments)
    print(json.dumps(result, indent=2))
    return 1 if result["failures"] or not result["requests"] else 0


if __name__ == "__main__":
    sys.exit(main())
