"""LPIPS — The Unreasonable Effectiveness of Deep Features as a Perceptual Metric.

Zhang et al., CVPR 2018, arXiv:1801.03924, eq. 1.

The distance of two images from the activations that a network gives them at several layers. The
network and its weights are not here: see `tfgans.features`.

Reference: richzhang/PerceptualSimilarity, lpips/lpips.py, version 0.1.
"""

import tensorflow as tf

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


def lpips_input(images):
    """RGB images in [-1, 1], [N, H, W, 3], as the network wants them (version 0.1; 0.0 did not)."""
    images = tf.convert_to_tensor(images)
    return (images - tf.constant(SHIFT, images.dtype)) / tf.constant(SCALE, images.dtype)


def lpips(features_a, features_b, weights):
    """The distance of each pair of images; gradients flow through it.

    Args:
        features_a: For each layer its activations [N, H, W, C], arrays or tensors.
        features_b: The same of the other images.
        weights: For each layer a nonnegative weight per channel, [C].

    Returns:
        [N], in the type of the features: the sum over layers of the mean over positions.
    """
    total = 0.0
    for a, b, weight in zip(features_a, features_b, weights, strict=True):
        a, b = unit(tf.convert_to_tensor(a)), unit(tf.convert_to_tensor(b))
        weighted = tf.square(a - b) * tf.cast(weight, a.dtype)
        total += tf.reduce_mean(tf.reduce_sum(weighted, axis=3), axis=[1, 2])
    return total


def unit(x):
    """Scales the channels of each position to length 1."""
    # divide_no_nan's second order is that of a plain division; the square root of 0 has none
    squares = tf.reduce_sum(tf.square(x), axis=3, keepdims=True)
    safe = tf.where(squares > 0, squares, tf.ones_like(squares))
    return x / (tf.where(squares > 0, tf.sqrt(safe), tf.zeros_like(squares)) + 1e-10)
