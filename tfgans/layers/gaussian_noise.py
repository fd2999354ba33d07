"""Normal noise on features, with draws from `tfgans.random`."""

import keras
import tensorflow as tf

from tfgans import random


class GaussianNoise(keras.layers.Layer):
    """Adds noise in training.

    Args:
        stddev: Standard deviation of the noise.
    """

    def __init__(self, stddev, **kwargs):
        super().__init__(**kwargs)
        self.stddev = stddev

    def call(self, x, training=False):
        return x + self.stddev * random.normal(tf.shape(x), x.dtype) if training else x
