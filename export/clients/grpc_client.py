"""Requests images over gRPC and saves them; needs `pip install tensorflow-serving-api`.

python grpc_client.py --model=birds --label=207 --seeds=0-15 --truncation=0.5 --output=pictures
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import picture_requests
import tensorflow as tf
from picture_requests import FinalError, TemporaryError
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

DTYPES = {"label": tf.int64, "seed": tf.int64, "class_name": tf.string, "truncation": tf.float32}
OUTPUT = "image_bytes"
# What to do about statuses that a retry does not help.
ADVICE = {
    grpc.StatusCode.DEADLINE_EXCEEDED: " Give a longer --timeout or a smaller --batch.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: " Give a larger --max_megabytes or a smaller --batch.",
}


def predict_request(
    model: str, version: int | None, signature: str, inputs: dict[str, list]
) -> predict_pb2.PredictRequest:
    """Builds the message of a predict request.

    Args:
      model: Name of the model.
      version: Number of the version, or None for the newest.
      signature: Name of the signature.
      inputs: One value per image, by the name of the input.
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, DTYPES[name]))
    return request


def predict(
    channel: grpc.Channel, request: predict_pb2.PredictRequest, timeout: float
) -> list[bytes]:
    """Sends a request and returns the PNG bytes of each image.

    Args:
      channel: Connection to the server.
      request: Message of the request.
      timeout: Maximum time for the answer, in seconds.

    Raises:
      TemporaryError: The server is too busy, or is not running at the moment.
      FinalError: The server refuses the request, the answer is larger than the channel accepts, or
        there was none within `timeout` seconds. Sending it again would add to the server's load.
    """
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
        answer = stub.Predict(request, timeout=timeout)
    except grpc.RpcError as error:
        details, status = " ".join((error.details() or "").split()), error.code()
        kind = TemporaryError if status == grpc.StatusCode.UNAVAILABLE else FinalError
        raise kind(f"gRPC status {status.name}: {details}{ADVICE.get(status, '')}") from error
    return list(tf.make_ndarray(answer.outputs[OUTPUT]).tolist())


def main(argv: list[str] | None = None) -> int:
    """Runs the command line."""
    parser = picture_requests.parser(__doc__, "127.0.0.1:8500")
    parser.add_argument(
        "--max_megabytes",
        type=float,
        default=256,
        help="largest answer that is accepted; gRPC itself accepts 4; default: 256",
    )
    arguments = parser.parse_args(argv)
    signature = picture_requests.signature(arguments)
    limit = [("grpc.max_receive_message_length", int(arguments.max_megabytes * 2**20))]
    with grpc.insecure_channel(arguments.server, options=limit) as channel:

        def ask(inputs):
            request = predict_request(arguments.model, arguments.version, signature, inputs)
            return predict(channel, request, arguments.timeout)

        return picture_requests.run(arguments, ask)


if __name__ == "__main__":
    sys.exit(main())
