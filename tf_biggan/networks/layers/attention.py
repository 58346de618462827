"""Dot-product attention: every query receives a weighted mean of the values.

The weights are the softmax of the scores, which are the dot products of the query and the keys.

In float32, the scores of an image with 64x64 queries and 32x32 keys take 16 MiB, and a training
step goes over them about ten times. In training on a CPU, `attention_in_parts` therefore computes
some queries of an image after the others, so that their scores stay in the cache. For the gradient
it computes the scores again instead of keeping the scores of the whole batch, which also saves
memory.
"""

from __future__ import annotations

from keras import ops

from tf_biggan.networks.layers.linear import on_cpu

# Number of scores that are computed at once if an image has at least so many. If an image has fewer
# scores, those of several images fit into the cache. On two cores of an Intel Xeon, the gradients
# of 32x32 queries take 1.3 times as long image by image as in one batch, and those of 48x48 queries
# 0.8 times as long. 64x64 queries in four parts take 0.8 times as long as in one part.
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

    length, depth = queries.shape[1], values.shape[2]

    def over_parts(function, *arrays, dtypes):
        """Returns what a function makes of the number of the image and of the parts of arrays."""
        split = [tf.reshape(array, (-1, length // parts, array.shape[2])) for array in arrays]
        images = tf.range(tf.shape(split[0])[0]) // parts
        return tf.map_fn(lambda part: function(*part), (images, *split), dtypes)

    def mixtures_of(image, queries):
        return _mixtures(_weights(queries, keys[image], softmax_dtype), values[image])

    def gradients_of(image, queries, mixtures, upstream):
        """Returns the gradients of the queries, keys and values through one part.

        The gradient of the scores is weights * (g - mean of g under the weights), where g is the
        gradient of the weights, upstream values^T. This mean is the sum of upstream * mixtures over
        channels. The product with the values subtracts it, as one more channel.
        """
        weights = _weights(queries, keys[image], softmax_dtype)
        product = tf.cast(upstream * mixtures, softmax_dtype)
        mean = tf.cast(tf.reduce_sum(product, axis=-1, keepdims=True), upstream.dtype)
        subtracting = tf.concat([values[image], -tf.ones_like(values[image][:, :1])], 1)
        centred = tf.matmul(tf.concat([upstream, mean], 1), subtracting, transpose_b=True)
        of_scores = tf.cast(weights * tf.cast(centred, softmax_dtype), queries.dtype)
        return (
            tf.matmul(of_scores, keys[image]),
            tf.matmul(of_scores, queries, transpose_a=True),
            tf.matmul(tf.cast(weights, values.dtype), upstream, transpose_a=True),
        )

    @tf.custom_gradient
    def function(queries, keys, values):
        mixtures = over_parts(mixtures_of, queries, dtypes=values.dtype)
        mixtures = tf.reshape(mixtures, (-1, length, depth))

        def gradient(upstream):
            dtypes = (queries.dtype, keys.dtype, values.dtype)
            of_queries, of_keys, of_values = over_parts(
                gradients_of, queries, mixtures, upstream, dtypes=dtypes
            )
            return (
                tf.reshape(of_queries, (-1, length, queries.shape[2])),
                tf.reduce_sum(tf.reshape(of_keys, (-1, parts, *keys.shape[1:])), 1),
                tf.reduce_sum(tf.reshape(of_values, (-1, parts, *values.shape[1:])), 1),
            )

        return mixtures, gradient

    return function(queries, keys, values)


def _weights(queries, keys, softmax_dtype):
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2))
    return ops.softmax(ops.cast(scores, softmax_dtype), axis=-1)


def _mixtures(weights, values):
    return ops.matmul(ops.cast(weights, values.dtype), values)
