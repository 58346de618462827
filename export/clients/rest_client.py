"""Requests images over REST and saves them; needs only Python's standard library.

python rest_client.py --model=birds --label=207 --seeds=0-15 --truncation=0.5 --output=pictures
"""

from __future__ import annotations

import base64
import http.client
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

import picture_requests
from picture_requests import FinalError, TemporaryError

BUSY = 503


def predict(address: str, signature: str, inputs: dict[str, list], timeout: float) -> list[bytes]:
    """Sends a request and returns the PNG bytes of each image.

    Args:
      address: Address of the model's predict requests, see `address_of`.
      signature: Name of a signature with a single output.
      inputs: One value per image, by the name of the input.
      timeout: Maximum time for the answer, in seconds.

    Raises:
      TemporaryError: The server is too busy.
      FinalError: The server refuses the request, cannot be reached or sends another answer, or
        there was none within `timeout` seconds. Sending it again would add to the server's load.
    """
    body = json.dumps({"signature_name": signature, "inputs": inputs}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            outputs = json.loads(answer.read())["outputs"]
    except urllib.error.HTTPError as error:
        message = f"The server answers {error.code}: {_message(error)}"
        if error.code != BUSY:
            raise FinalError(message) from error
        raise TemporaryError(message, _seconds(error.headers.get("Retry-After"))) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise FinalError(
                f"No answer within {timeout:g} s. Give a longer --timeout or a smaller --batch."
            ) from error
        raise FinalError(f"Cannot reach {address}: {reason}") from error
    except (ValueError, KeyError) as error:
        raise FinalError(
            f"{address} does not answer like TensorFlow Serving. Check --server and --model."
        ) from error
    return [base64.b64decode(row["b64"]) for row in outputs]


def address_of(server: str, model: str, version: int | None) -> str:
    """Returns the address of a model's predict requests.

    Args:
      server: Address of the server, such as http://127.0.0.1:8501.
      model: Name of the model.
      version: Number of the version, or None for the newest.
    """
    place = f"/versions/{version}" if version is not None else ""
    return f"{server.rstrip('/')}/v1/models/{urllib.parse.quote(model)}{place}:predict"


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return " ".join(json.loads(error.read())["error"].split())
    except (ValueError, KeyError, OSError):
        return error.reason


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0


def main() -> int:
    """Runs the command line."""
    arguments = picture_requests.parser(__doc__, "http://127.0.0.1:8501").parse_args()
    address = address_of(arguments.server, arguments.model, arguments.version)
    signature = picture_requests.signature(arguments)
    return picture_requests.run(
        arguments, lambda inputs: predict(address, signature, inputs, arguments.timeout)
    )


if __name__ == "__main__":
    sys.exit(main())
