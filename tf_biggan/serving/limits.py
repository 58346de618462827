"""What the local server takes from its clients at most."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds that keep the server's memory and answering time bounded.

    Attributes:
      body_bytes: of a request's body.
      body_seconds: until a body must have arrived.
      request_rows: rows of one request.
      open_request_rows: the same where the length of a row's output depends on its inputs, as the
        frames of an interpolation do.
      batch_rows: rows of one run: requests are merged, and larger ones split, into such batches.
      batch_seconds: how long a request waits for others to be merged with.
      requests: requests that are read, wait, run or are answered at the same time.
      rows: rows of all requests that wait, run or are answered at the same time.
      write_seconds: until a client must have taken the next part of an answer.
      shutdown_seconds: how long requests may still run after the server was told to stop.
    """

    body_bytes: int = 4 * 2**20
    body_seconds: float = 30.0
    request_rows: int = 64
    open_request_rows: int = 4
    # One activation of a row at 256 pixels with 96 channels is 25 MB.
    batch_rows: int = 16
    batch_seconds: float = 0.005
    requests: int = 128
    rows: int = 1024
    write_seconds: float = 30.0
    shutdown_seconds: float = 10.0
