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
TEMPORARY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
# A batch of images can be larger than gRPC's default limit of 4 MB.
OPTIONS = [("grpc.max_receive_message_length", 256 * 2**20)]


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
      TemporaryError: There was no answer within `timeout` seconds, or the server is too busy.
      FinalError: The server refuses the request.
    """
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
        answer = stub.Predict(request, timeout=timeout)
    except grpc.RpcError as error:
        kind = TemporaryError if error.code() in TEMPORARY else FinalError
        details = " ".join((error.details() or "").split())
        raise kind(f"The server answers {error.code().name}: {details}") from error
    return list(tf.make_ndarray(answer.outputs[OUTPUT]).tolist())


def main(argv: list[str] | None = None) -> int:
    """Runs the command line."""
    arguments = picture_requests.parser(__doc__, "127.0.0.1:8500").parse_args(argv)
    signature = picture_requests.signature(arguments)
    with grpc.insecure_channel(arguments.server, options=OPTIONS) as channel:

        def ask(inputs):
            request = predict_request(arguments.model, arguments.version, signature, inputs)
            return predict(channel, request, arguments.timeout)

        return picture_requests.run(arguments, ask)


if __name__ == "__main__":
    sys.exit(main())
