"""Dot-product attention: every query receives a weighted mean of the values.

The weights are the softmax of the scores, which are the dot products of the query and the keys.

In float32, the scores of an image with 64x64 queries and 32x32 keys take 16 MiB, and a training
step goes over them about ten times. In training on a CPU, `attention_in_parts` therefore divides
the queries of an image into parts, one after another, so that the scores of a part stay in the
cache. For the gradient it computes the scores again instead of keeping those of the whole batch,
which also saves memory.
"""

from __future__ import annotations

from keras import ops

from tf_biggan.networks.layers.linear import on_cpu

# Number of scores that are computed at once if an image has at least so many. If an image has fewer
# scores, those of several images fit into the cache. On two cores of an Intel Xeon, the gradients
# of 32x32 queries take 1.3 times as long image by image as in one batch, and those of 48x48 queries
# 0.8 times as long. On two cores of an AMD EPYC, 64x64 queries in four parts take 0.8 times as long
# as in one part.
SCORES_AT_ONCE = 2**20


def attention(queries, keys, values, softmax_dtype: str, training: bool = False):
    """Returns softmax(queries keys^T) values, [N, L, V]. The scores are not scaled.

    Args:
      queries: [N, L, C].
      keys: [N, M, C].
      values: [N, M, V].
      softmax_dtype: Dtype in which the softmax is computed.
      training: Whether the network runs in training mode. On a CPU, the queries of large images are
        then computed in parts. Exported graphs, which are in inference mode, have no such loop.
    """
    parts = queries.shape[1] * keys.shape[1] // SCORES_AT_ONCE
    if training and parts > 0 and on_cpu():
        while queries.shape[1] % parts:
            parts -= 1
        return attention_in_parts(queries, keys, values, softmax_dtype, parts)
    return _mixtures(_weights(queries, keys, softmax_dtype), values)


def attention_in_parts(queries, keys, values, softmax_dtype: str, parts: int):
    """Returns the same as `attention`, computed one part of an image after another.

    It works only with TensorFlow. The gradient consists of plain operations, so it can be
    differentiated again, which R1 needs.

    Args:
      queries, keys, values, softmax_dtype: As in `attention`.
      parts: Number of parts of every image, a divisor of the number of queries.
    """
    import tensorflow as tf

    def split(array):
        """Returns the parts of all images, [N * parts, L / parts, channels]."""
        return tf.reshape(array, (-1, array.shape[1] // parts, array.shape[2]))

    def mixtures_of(part):
        queries, keys, values = part
        return _mixtures(_weights(queries, keys, softmax_dtype), values)

    def gradients_of(part):
        """Returns the gradients of the queries, keys and values of one part."""
        queries, keys, values, mixtures, upstream = part
        weights = _weights(queries, keys, softmax_dtype)
        of_scores = _gradient_of_scores(weights, values, mixtures, upstream)
        of_scores = tf.cast(of_scores, queries.dtype)
        return (
            tf.matmul(of_scores, keys),
            tf.matmul(of_scores, queries, transpose_a=True),
            tf.matmul(tf.cast(weights, values.dtype), upstream, transpose_a=True),
        )

    @tf.custom_gradient
    def function(queries, keys, values):
        of_parts = (split(queries), tf.repeat(keys, parts, 0), tf.repeat(values, parts, 0))
        mixtures = tf.map_fn(mixtures_of, of_parts, fn_output_signature=values.dtype)

        def gradient(upstream):
            of_queries, of_keys, of_values = tf.map_fn(
                gradients_of,
                (*of_parts, mixtures, split(upstream)),
                fn_output_signature=(queries.dtype, keys.dtype, values.dtype),
            )
            return (
                tf.reshape(of_queries, (-1, *queries.shape[1:])),
                tf.reduce_sum(tf.reshape(of_keys, (-1, parts, *keys.shape[1:])), 1),
                tf.reduce_sum(tf.reshape(of_values, (-1, parts, *values.shape[1:])), 1),
            )

        return tf.reshape(mixtures, (-1, queries.shape[1], values.shape[2])), gradient

    return function(queries, keys, values)


def _gradient_of_scores(weights, values, mixtures, upstream):
    """Returns the gradient of one part's scores, [L, M], in the dtype of the weights.

    It is weights * (g - mean of g under the weights), where g is the gradient of the weights,
    upstream values^T. The mean is also the sum of upstream * mixtures over channels. The product
    with the values can subtract this sum as one more channel, which saves going over all scores
    twice. If the values have a narrower dtype than the weights, the sum would be rounded, and its
    error, which is equal for all keys, would add up. The mean is then taken of the rounded g.
    """
    import tensorflow as tf

    if values.dtype == weights.dtype:
        mean = tf.reduce_sum(upstream * mixtures, axis=-1, keepdims=True)
        subtracting = tf.concat([values, -tf.ones_like(values[:, :1])], 1)
        return weights * tf.matmul(tf.concat([upstream, mean], 1), subtracting, transpose_b=True)
    of_weights = tf.cast(tf.matmul(upstream, values, transpose_b=True), weights.dtype)
    mean = tf.reduce_sum(weights * of_weights, axis=-1, keepdims=True)
    return weights * (of_weights - mean)


def _weights(queries, keys, softmax_dtype):
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2))
    return ops.softmax(ops.cast(scores, softmax_dtype), axis=-1)


def _mixtures(weights, values):
    return ops.matmul(ops.cast(weights, values.dtype), values)
