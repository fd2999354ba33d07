"""Hand-written gradients against those TensorFlow finds for the plain formula."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans.layers.pointwise import biased_leaky_relu, scale_channels, sum_over_pixels


def numbers(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def plain_scale(x, scale):
    return x * scale[:, None, None, :]


def plain_activation(x, bias):
    return tf.nn.leaky_relu(x + bias, 0.2)


def derivatives(function, x, factor):
    """What the function gives, its gradients, and those of the size of its gradients."""
    weights = numbers(*x.shape, seed=2)
    with tf.GradientTape() as outer:
        outer.watch((x, factor))
        with tf.GradientTape() as tape:
            tape.watch((x, factor))
            y = function(x, factor)
            total = tf.reduce_sum(weights * y * y)  # squared: else no second derivative
        first = tape.gradient(total, (x, factor))
        size = sum(tf.reduce_sum(tf.square(gradient)) for gradient in first)
    return [y, *first, *outer.gradient(size, (x, factor))]


@pytest.mark.parametrize(
    ("function", "plain", "shape"),
    [(scale_channels, plain_scale, (2, 3)), (biased_leaky_relu, plain_activation, (3,))],
)
@pytest.mark.parametrize("graph", [False, True])
def test_value_gradient_and_second_gradient_are_those_of_the_plain_formula(
    function, plain, shape, graph
):
    x, factor = numbers(2, 4, 5, 3), numbers(*shape, seed=1)
    run = tf.function(derivatives) if graph else derivatives
    pairs = zip(run(function, x, factor), derivatives(plain, x, factor), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_sum_over_pixels():
    x = numbers(2, 4, 5, 3)
    np.testing.assert_allclose(sum_over_pixels(x), x.numpy().sum(axis=(1, 2)), rtol=1e-5)
