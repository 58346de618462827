"""Dot-product attention: every query receives a weighted mean of the values.

The weights are the softmax of the scores, which are the dot products of the query and the keys.

In float32, the scores of an image with 64x64 queries and 32x32 keys take 16 MiB, and a training
step goes over them about ten times. In training on a CPU, `attention_by_image` therefore computes
large images one after the other, so that the scores of each image stay in the cache. For the
gradient it computes the scores again instead of keeping the scores of the whole batch, which also
saves memory.
"""

from __future__ import annotations

from keras import ops

from tf_biggan.networks.layers.linear import on_cpu

# If an image has fewer scores than this, the scores of several images fit into the cache at once.
# On two cores of an Intel Xeon, the gradients of 32x32 queries take 1.3 times as long image by
# image as in one batch, and those of 48x48 queries 0.8 times as long.
SCORES_OF_A_LARGE_IMAGE = 2**20


def attention(queries, keys, values, softmax_dtype: str, training: bool = False):
    """Returns softmax(queries keys^T) values, [N, L, V]. The scores are not scaled.

    Args:
      queries: [N, L, C].
      keys: [N, M, C].
      values: [N, M, V].
      softmax_dtype: Dtype in which the softmax is computed.
      training: Whether the network runs in training mode. On a CPU, large images are then computed
        one after the other. Exported graphs, which are in inference mode, do not contain that loop.
    """
    large = queries.shape[1] * keys.shape[1] >= SCORES_OF_A_LARGE_IMAGE
    if training and large and on_cpu():
        return attention_by_image(queries, keys, values, softmax_dtype)
    return _mixtures(_weights(queries, keys, softmax_dtype), values)


def attention_by_image(queries, keys, values, softmax_dtype: str):
    """Returns the same as `attention`, computed image by image; only for TensorFlow.

    The gradient consists of plain operations, so it can be differentiated again, which R1 needs.
    """
    import tensorflow as tf

    def mixtures(image):
        queries, keys, values = image
        return _mixtures(_weights(queries, keys, softmax_dtype), values)

    def gradients(image):
        """Returns the gradients of the queries, keys and values of one image.

        The gradient of the scores is weights * (g - mean of g under the weights), where g is the
        gradient of the weights. This mean is the sum of upstream * output over channels, where
        upstream is the gradient of the output.
        """
        queries, keys, values, upstream = image
        weights = _weights(queries, keys, softmax_dtype)
        product = tf.cast(upstream * _mixtures(weights, values), softmax_dtype)
        mean = tf.reduce_sum(product, axis=-1, keepdims=True)
        of_weights = tf.cast(tf.matmul(upstream, values, transpose_b=True), softmax_dtype)
        of_scores = tf.cast(weights * (of_weights - mean), queries.dtype)
        return (
            tf.matmul(of_scores, keys),
            tf.matmul(of_scores, queries, transpose_a=True),
            tf.matmul(tf.cast(weights, values.dtype), upstream, transpose_a=True),
        )

    @tf.custom_gradient
    def function(*images):
        def gradient(upstream):
            dtypes = tuple(array.dtype for array in images)
            return tf.map_fn(gradients, (*images, upstream), fn_output_signature=dtypes)

        return tf.map_fn(mixtures, images, fn_output_signature=values.dtype), gradient

    return function(queries, keys, values)


def _weights(queries, keys, softmax_dtype):
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2))
    return ops.softmax(ops.cast(scores, softmax_dtype), axis=-1)


def _mixtures(weights, values):
    return ops.matmul(ops.cast(weights, values.dtype), values)
