"""A convolution with fixed random weights, for tests without a trained network."""

import hashlib

import numpy as np
import tensorflow as tf

from tfgans.features.extractor import Extractor

SIDE, WIDTH = 32, 64


def extractor() -> Extractor:
    """Mean and maximum of 32 filters of 5 x 5 pixels over images of 32 x 32: 64 activations.

    Distances between them mean little and are not comparable with any other.
    """
    filters = np.random.default_rng(0).normal(0, 75**-0.5, [5, 5, 3, WIDTH // 2]).astype("float32")

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3])])
    def network(x):
        x = tf.nn.relu(tf.nn.conv2d(x, filters, 1, "VALID"))
        return tf.concat([tf.reduce_mean(x, axis=[1, 2]), tf.reduce_max(x, axis=[1, 2])], axis=1)

    digest = hashlib.sha256(filters.tobytes()).hexdigest()
    return Extractor("random (for tests only)", network, SIDE, "tfgan", digest)
