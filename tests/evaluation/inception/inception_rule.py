"""Weights of Inception made by a rule, once for all tests, and files that hold them."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from tests.golden_files import manifest_weights
from tf_biggan.conversion.readers.tensors import Tensors
from tf_biggan.evaluation.inception.inception_network import CLASSIFIER, convolutions
from tf_biggan.evaluation.inception.weight_files import PYTORCH, WeightFile

BATCH_NORM = {"beta": "bias", "gamma": "weight", "moving_mean": "running_mean"}
BATCH_NORM |= {"moving_variance": "running_var"}


def state_dict() -> dict[str, np.ndarray]:
    """Returns the tensors with the keys and the layout of PyTorch ports."""
    names = {conv.name for conv, _ in convolutions()} | {CLASSIFIER}
    tensors = manifest_weights("inception_public")
    return {
        k: v
        for k, v in tensors.items()
        if k.rpartition(".")[0].removesuffix(".conv").removesuffix(".bn") in names
    }


@functools.cache
def folded() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the weights with batch norms folded into the convolutions."""
    return WeightFile("the rule", "", PYTORCH, lambda: Tensors.of(state_dict())).folded()


def graph_constants() -> dict[str, np.ndarray]:
    """Returns the tensors with the names and the layout of the graph of 2015."""
    weights, constants = state_dict(), {}
    for conv, _ in convolutions():
        kernel = weights[f"{conv.name}.conv.weight"]
        constants[f"{conv.scope}/conv2d_params"] = kernel.transpose(2, 3, 1, 0)
        for ours, theirs in BATCH_NORM.items():
            constants[f"{conv.scope}/batchnorm/{ours}"] = weights[f"{conv.name}.bn.{theirs}"]
    constants["softmax/weights"] = weights[f"{CLASSIFIER}.weight"].T
    constants["softmax/biases"] = weights[f"{CLASSIFIER}.bias"]
    return constants


def constant_node(name: str, value) -> NodeDef:
    """Returns a graph node that holds a constant."""
    node = NodeDef(name=name, op="Const")
    proto = tf.make_tensor_proto(value)
    node.attr["dtype"].type = proto.dtype
    node.attr["value"].tensor.CopyFrom(proto)
    return node


def graph(scope: str = "") -> GraphDef:
    """Returns a graph with the constants below a scope, and with other nodes like the original."""
    made = GraphDef()
    made.node.append(NodeDef(name="DecodeJpeg/contents", op="Placeholder"))
    made.node.append(constant_node("mixed/join/concat_dim", 3))
    made.node.extend(constant_node(scope + k, v) for k, v in graph_constants().items())
    made.node.append(NodeDef(name="softmax/logits/MatMul", op="MatMul"))
    return made


def assert_is_rule(weights) -> None:
    """Checks that weights are equal to `folded`, bit for bit."""
    assert weights.keys() == folded().keys()
    for name, parts in folded().items():
        for actual, expected in zip(weights[name], parts, strict=True):
            np.testing.assert_array_equal(actual, expected, err_msg=name)
