"""Padding by reflection against NumPy's."""

import keras
import numpy as np
import tensorflow as tf

from tfgans.layers.reflection_pad import ReflectionPad


def test_the_border_mirrors_the_image_without_its_edge():
    x = tf.random.normal([2, 5, 4, 3])
    wanted = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)), "reflect")
    np.testing.assert_array_equal(ReflectionPad(3)(x), wanted)
    image = keras.Input([5, 4, 3])
    assert keras.Model(image, ReflectionPad(3)(image)).output.shape == (None, 11, 10, 3)
