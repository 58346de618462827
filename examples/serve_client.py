"""Requests an image from a server: python examples/serve_client.py --model=birds --label=3

The server is TensorFlow Serving or the local server. This command starts the local server:
`python -m tf_biggan.export --serve=models/birds`. The client needs only Python's standard library.
The folder export/clients/ has clients for production, with retries, batches and gRPC.
"""

from __future__ import annotations

import argparse
import base64
import json
import urllib.request


def main(
    server: str = "http://127.0.0.1:8501",
    model: str = "birds",
    label: int = 0,
    seed: int = 0,
    truncation: float = 0.5,
    output: str = "picture.png",
) -> str:
    """Requests one image, saves it as a PNG file and returns the path of the file."""
    # The same label, seed and truncation always give the same image.
    body = {
        "signature_name": "generate_png",
        "instances": [{"label": label, "seed": seed, "truncation": truncation}],
    }
    request = urllib.request.Request(
        f"{server}/v1/models/{model}:predict",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        (picture,) = json.load(answer)["predictions"]
    with open(output, "wb") as file:
        file.write(base64.b64decode(picture["b64"]))
    return output


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--server", default="http://127.0.0.1:8501", help="address of the server")
    parser.add_argument("--model", default="birds", help="name of the model")
    parser.add_argument("--label", type=int, default=0, help="index of the class")
    parser.add_argument("--seed", type=int, default=0, help="seed of the latent vector")
    parser.add_argument("--truncation", type=float, default=0.5, help="above 0 and at most 1")
    parser.add_argument("--output", default="picture.png", help="file to write")
    print("Written:", main(**vars(parser.parse_args())))
