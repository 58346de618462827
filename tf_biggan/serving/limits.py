"""What the local server takes from its clients at most."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds that keep the server's memory and answering time bounded.

    Attributes:
      body_bytes: of a request's body.
      body_seconds: until a body must have arrived.
      batch_rows: rows of one request, and of several requests merged into one run.
      batch_seconds: how long a request waits for others to be merged with.
      requests: requests that are read, wait or run at the same time.
      shutdown_seconds: how long requests may still run after the server was told to stop.
    """

    body_bytes: int = 4 * 2**20
    body_seconds: float = 30.0
    batch_rows: int = 64
    batch_seconds: float = 0.005
    requests: int = 128
    shutdown_seconds: float = 10.0
