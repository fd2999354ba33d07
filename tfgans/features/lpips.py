"""LPIPS — The Unreasonable Effectiveness of Deep Features as a Perceptual Metric.

Zhang et al., CVPR 2018, arXiv:1801.03924, eq. 1.

The distance between two images, computed from the activations of a network at several layers. The
network is `tfgans.features.vgg.LPIPS`.

Reference: richzhang/PerceptualSimilarity, lpips/lpips.py, version 0.1.
"""

import tensorflow as tf

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


def lpips_input(images):
    """Normalizes RGB images [N, H, W, 3] in [-1, 1] as version 0.1 does; version 0.0 did not."""
    images = tf.convert_to_tensor(images)
    return (images - tf.constant(SHIFT, images.dtype)) / tf.constant(SCALE, images.dtype)


def lpips(features_a, features_b, weights):
    """The distance of each pair of images; differentiable.

    Args:
        features_a: List of the activations [N, H, W, C] of each layer, arrays or tensors.
        features_b: The same list for the other images.
        weights: List of nonnegative weights [C] of each layer.

    Returns:
        [N], in the dtype of the features: the sum over layers of the mean over positions.
    """
    total = 0.0
    for a, b, weight in zip(features_a, features_b, weights, strict=True):
        a, b = unit(tf.convert_to_tensor(a)), unit(tf.convert_to_tensor(b))
        weighted = tf.square(a - b) * tf.cast(weight, a.dtype)
        total += tf.reduce_mean(tf.reduce_sum(weighted, axis=3), axis=[1, 2])
    return total


def unit(x):
    """Scales the channels of each position to length 1."""
    # Twice differentiable at 0, unlike divide_no_nan, whose second derivative is that of a plain
    # division, and unlike the square root, which has no derivative at 0.
    squares = tf.reduce_sum(tf.square(x), axis=3, keepdims=True)
    safe = tf.where(squares > 0, squares, tf.ones_like(squares))
    return x / (tf.where(squares > 0, tf.sqrt(safe), tf.zeros_like(squares)) + 1e-10)
