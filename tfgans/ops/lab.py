"""The color space CIELAB (D65, observer of 2 degrees) of sRGB images: IEC 61966-2-1, CIE 15.

Lightness L is in 0..100. a goes from green to red and b from blue to yellow, for sRGB between about
-108 and 98; both are 0 for grays.
"""

import numpy as np
import tensorflow as tf

TO_XYZ = np.array(  # rows X, Y, Z of linear red, green, blue
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
WHITE = TO_XYZ.sum(axis=1)  # grays get a = b = 0 exactly
FROM_XYZ = np.linalg.inv(TO_XYZ)
BEND = 6 / 29  # of the cube root, below which it is a straight line


def product(matrix, x):
    """Matrix times vectors [..., 3], in full precision: GPUs round in matrix products."""
    return tf.reduce_sum(tf.constant(matrix, "float32") * x[..., tf.newaxis, :], axis=-1)


def linear(images):
    """sRGB images in [-1, 1] -> linear light in [0, 1]."""
    x = (images + 1.0) / 2.0
    dark, light = x / 12.92, ((tf.maximum(x, 0.04045) + 0.055) / 1.055) ** 2.4
    return tf.where(x > 0.04045, light, dark)


def gamma(light):
    """Linear light -> sRGB images in [-1, 1]; light outside of [0, 1] is cut."""
    x = tf.clip_by_value(light, 0.0, 1.0)
    bright = 1.055 * tf.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055
    return 2.0 * tf.where(x > 0.0031308, bright, 12.92 * x) - 1.0


def rgb_to_lab(images):
    """sRGB images [..., 3] in [-1, 1] -> L, a, b, [..., 3]."""
    x = product(TO_XYZ / WHITE[:, None], linear(images))
    root = tf.maximum(x, BEND**3) ** (1 / 3)
    x, y, z = tf.unstack(tf.where(x > BEND**3, root, x / (3 * BEND**2) + 4 / 29), axis=-1)
    return tf.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def lab_to_rgb(lab):
    """CIELAB `lab` [..., 3] -> sRGB images [..., 3] in [-1, 1]; colors outside of sRGB are cut."""
    lightness, a, b = tf.unstack(lab, axis=-1)
    y = (lightness + 16.0) / 116.0
    x = tf.stack([y + a / 500.0, y, y - b / 200.0], axis=-1)
    x = tf.where(x > BEND, x**3, 3 * BEND**2 * (x - 4 / 29))
    return gamma(product(FROM_XYZ * WHITE, x))
