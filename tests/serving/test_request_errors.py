"""The part of TensorFlow's error messages that a client receives."""

import pytest
import tensorflow as tf

from tf_biggan.serving.request_errors import as_request_error, graph_message

SEVERAL = """2 root error(s) found.
  (0) INVALID_ARGUMENT:  assertion failed: [`seed` must be 0 or more. Received:] [-1]
\t [[{{node Assert_1/AssertGuard/Assert}}]]
\t [[StatefulPartitionedCall/_3]]
  (1) INVALID_ARGUMENT:  assertion failed: [`label` must be below 5.]
0 successful operations."""


@tf.function
def checked(label):
    rule = "`label` must be in [0, 4] for 'naïve \\\\'.\nReceived:"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(label < 5), [rule, label])]):
        return tf.identity(label)


@tf.function
def less(label):
    tf.debugging.assert_less(label, 5, message="`label` must be below 5.")
    return tf.identity(label)


@tf.function(input_signature=[tf.TensorSpec([None]), tf.TensorSpec([None])])
def added(x, y):
    return x + y


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (checked, [[7, 1]], "`label` must be in [0, 4] for 'naïve \\\\'. Received: 7 1"),
        (less, [[7, 1]], "`label` must be below 5."),
        (added, [[1.0, 2.0], [1.0, 2.0, 3.0]], "Incompatible shapes: [2] vs. [3]"),
    ],
)
def test_a_graphs_message_loses_where_it_arose(function, arguments, message):
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        function(*map(tf.constant, arguments))
    error = as_request_error(raised.value)
    assert (error.status, error.message) == (400, message)


def test_of_several_errors_the_first_is_told():
    assert graph_message(SEVERAL) == "`seed` must be 0 or more. Received: -1"


def test_a_message_of_another_kind_stays():
    assert graph_message("Out of  memory\n at last") == "Out of memory at last"
