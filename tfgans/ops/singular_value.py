"""Largest singular values: by power iteration in training (arXiv:1802.05957), exactly beside it."""

import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import svds


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


def largest_singular_values(kernel, count):
    """The `count` largest singular values of a kernel as a matrix, largest first.

    Args:
        kernel: Array [..., outputs].
        count: How many; fewer come of a matrix with fewer rows or columns.
    """
    w = np.reshape(kernel, [-1, kernel.shape[-1]])  # [inputs, outputs]
    if min(w.shape) <= max(count, 64):
        return np.linalg.svd(w, compute_uv=False)[:count]
    # Lanczos: a small multiple of the cost of a power iteration.
    return np.sort(svds(w, k=count, return_singular_vectors=False, random_state=0))[::-1]
