"""A derivative by TensorFlow beside one by finite differences."""

import numpy as np
import pytest
import tensorflow as tf


def assert_derivative(value, kernel, size):
    """The gradient of value() to a weight says how value() changes along the gradient's signs.

    Args:
        value: Function without arguments; the same number each time for the same weights.
        kernel: The weight, a Keras variable.
        size: Step of the differences, in each component.
    """
    with tf.GradientTape() as tape:
        loss = value()
    direction = tape.gradient(loss, kernel.value).numpy()
    start, step = kernel.numpy(), size * np.sign(direction)
    kernel.assign(start + step)
    above = float(value())
    kernel.assign(start - step)
    below = float(value())
    assert (above - below) / 2 == pytest.approx(np.sum(direction * step), rel=0.05)
