"""Pixel norm of ProGAN (Karras et al., ICLR 2018, arXiv:1710.10196, section 4.2)."""

import tensorflow as tf


def pixel_norm(x):
    """Scales vectors on the last axis to mean square 1: x / sqrt(mean(x^2) + 1e-8)."""
    y = tf.cast(x, "float32")  # squares overflow float16
    y *= tf.math.rsqrt(tf.reduce_mean(tf.square(y), axis=-1, keepdims=True) + 1e-8)
    return tf.cast(y, x.dtype)
