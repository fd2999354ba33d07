"""Power iteration (Miyato et al., ICLR 2018, arXiv:1802.05957, algorithm 1)."""

import tensorflow as tf


def singular_value(kernel, u):
    """One step of power iteration for the largest singular value.

    Args:
        kernel: [..., outputs].
        u: The vector of the last step, [outputs, 1].

    Returns:
        sigma, with a gradient, and the next u, without one.
    """
    w = tf.reshape(kernel, [-1, kernel.shape[-1]])  # [inputs, outputs]
    fixed = tf.stop_gradient(w)
    v = unit(tf.matmul(fixed, u))
    u = unit(tf.matmul(fixed, v, transpose_a=True))
    return tf.reduce_sum(v * tf.matmul(w, u)), u


def unit(x):
    return x / (tf.norm(x) + 1e-12)
