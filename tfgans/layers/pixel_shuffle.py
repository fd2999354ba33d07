"""Pixel shuffle — Shi et al., CVPR 2016, arXiv:1609.05158 — and its start without checkers, ICNR.

ICNR: Aitken et al., 2017, arXiv:1707.02937.
"""

import keras
import tensorflow as tf


class PixelShuffle(keras.layers.Layer):
    """Makes pixels of channels: [N, H, W, C r^2] -> [N, r H, r W, C].

    Channels come in the order of PyTorch, (c, i, j): the pixel in row i and column j of a square is
    in channel c r^2 + i r + j. `tf.nn.depth_to_space` takes them in the order (i, j, c).

    Args:
        factor: r, by which both sides grow.
    """

    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        r, channels = self.factor, x.shape[3] // self.factor**2
        n, rows, columns = tf.unstack(tf.shape(x))[:3]
        x = tf.reshape(x, [n, rows, columns, channels, r, r])
        x = tf.transpose(x, [0, 1, 4, 2, 5, 3])  # [N, H, i, W, j, C]
        return tf.reshape(x, [n, rows * r, columns * r, channels])

    def compute_output_shape(self, shape):
        n, rows, columns, channels = shape
        r = self.factor
        rows, columns = (side and side * r for side in (rows, columns))
        return n, rows, columns, channels // r**2

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


class ICNR(keras.initializers.Initializer):
    """Starts a convolution before a pixel shuffle so that each square has one value: no checkers.

    Args:
        initializer: Start of the kernel that all r^2 pixels of a square share.
        factor: r of the pixel shuffle.
    """

    def __init__(self, initializer="he_normal", factor=2):
        self.initializer, self.factor = keras.initializers.get(initializer), factor

    def __call__(self, shape, dtype=None, **kwargs):
        *others, filters = shape
        one = self.initializer([*others, filters // self.factor**2], dtype=dtype)
        return tf.repeat(one, self.factor**2, axis=-1)

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {"initializer": initializer, "factor": self.factor}
