"""Sends requests to a server with urllib."""

import json
import urllib.error
import urllib.request

ROW = {"label": 1, "seed": 2, "truncation": 0.5}


def call(url, body=None, headers=None):
    """Returns (status, JSON value) of an address. A `body` of bytes is sent unchanged."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def predict(server, instances=None, signature=None, model="birds", **more):
    """Returns (status, JSON value) of a predict request in rows, or in columns with `inputs=`."""
    body = dict(more)
    if instances is not None:
        body["instances"] = instances
    if signature:
        body["signature_name"] = signature
    return call(f"{server}/v1/models/{model}:predict", body)
