"""Padding by reflection, as in the networks of Johnson et al. (ECCV 2016, arXiv:1603.08155)."""

import keras
import tensorflow as tf


class ReflectionPad(keras.layers.Layer):
    """Adds a border that mirrors the image: [N, H, W, C] -> [N, H + 2 size, W + 2 size, C].

    Args:
        size: Width of the border in pixels, less than the sides of the image: the outermost row and
            column are not repeated.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, x):
        border = [self.size, self.size]
        return tf.pad(x, [[0, 0], border, border, [0, 0]], "REFLECT")

    def compute_output_shape(self, shape):
        n, *sides, channels = shape
        return n, *(side and side + 2 * self.size for side in sides), channels
