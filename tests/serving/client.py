"""A client that knows nothing of the server: requests as urllib sends them."""

import json
import urllib.error
import urllib.request

ROW = {"label": 1, "seed": 2, "truncation": 0.5}


def call(url, body=None, headers=None):
    """(status, JSON value) of an address; `body` as bytes goes out as it is."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def predict(server, instances=None, signature=None, model="birds", **more):
    """(status, JSON value) of a predict request in row format, or with `inputs=` in columns."""
    body = dict(more)
    if instances is not None:
        body["instances"] = instances
    if signature:
        body["signature_name"] = signature
    return call(f"{server}/v1/models/{model}:predict", body)
