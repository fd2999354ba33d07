"""Maxout (Goodfellow et al., ICML 2013, arXiv:1302.4389)."""

import keras
import tensorflow as tf


class Maxout(keras.layers.Layer):
    """The largest of several affine maps for each unit.

    Args:
        units: Length of the output.
        pieces: Affine maps per unit.
        spread: Weights start in U(-spread, spread), biases at 0.
    """

    def __init__(self, units, pieces, spread, **kwargs):
        super().__init__(**kwargs)
        self.units, self.pieces, self.spread = units, pieces, spread

    def build(self, input_shape):
        shape = (input_shape[-1], self.units * self.pieces)
        initializer = keras.initializers.RandomUniform(-self.spread, self.spread)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=initializer)
        self.bias = self.add_weight(name="bias", shape=shape[1:], initializer="zeros")

    def call(self, x):
        x = tf.matmul(x, self.kernel) + self.bias
        return tf.reduce_max(tf.reshape(x, [-1, self.units, self.pieces]), axis=2)
