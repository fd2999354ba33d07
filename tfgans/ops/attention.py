"""Attention of positions to positions, in parts where the map of all weights would be large."""

import tensorflow as tf

from tfgans.ops.recompute import recomputed

MOST = 2**22  # weights of one image that are held at once: 64x64 positions times 32x32


def attend(query, key, value, most=MOST):
    """softmax(query key^T) value: each query takes a mean of the values (not scaled by a root).

    With more than `most` weights for an image, a part of the queries at a time is computed, and
    computed again for the gradient. The result is the same. Where the graph does not know the
    number of positions, all are computed at once.

    Args:
        query: [N, Q, D].
        key: [N, K, D].
        value: [N, K, C].
        most: Weights of one image that are held at once.

    Returns:
        [N, Q, C].
    """

    def whole(query, key, value):
        share = tf.cast(attention_weights(query, key), value.dtype)
        return tf.matmul(share, value)

    count, keys = query.shape[1], key.shape[1]
    if None in (count, keys) or max(most // keys, 1) >= count:
        return whole(query, key, value)
    rows = max(most // keys, 1)
    parts = [query[:, k : k + rows] for k in range(0, count, rows)]
    return tf.concat([recomputed(whole, (part, key, value), []) for part in parts], axis=1)


def attention_weights(query, key):
    """Share of each value for each query, float32 [N, Q, K]; rows sum to 1.

    Args:
        query: [N, Q, D].
        key: [N, K, D].
    """
    return tf.nn.softmax(tf.cast(tf.matmul(query, key, transpose_b=True), "float32"), axis=-1)
