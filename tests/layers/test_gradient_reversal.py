"""Gradient reversal: the identity forward, minus lambda backward."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans.layers.gradient_reversal import GradientReversal


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 2.5])
def test_the_output_is_the_input_and_the_slope_is_minus_lambda(strength):
    x = tf.random.normal([5, 3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = GradientReversal()(x, strength=strength)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(tape.gradient(y, x), np.full([5, 3], -strength, "float32"))


def test_lambda_may_be_a_tensor_of_a_graph_and_has_no_slope():
    @tf.function
    def slopes(x, strength):
        with tf.GradientTape() as tape:
            tape.watch([x, strength])
            y = tf.reduce_sum(tf.square(GradientReversal()(x, strength=strength)))
        return tape.gradient(y, [x, strength], unconnected_gradients="zero")

    x, strength = tf.constant([1.0, -2.0]), tf.constant(0.5)
    of_x, of_strength = slopes(x, strength)
    np.testing.assert_allclose(of_x, [-1.0, 2.0])
    assert float(of_strength) == 0.0


def test_half_precision_stays_half():
    x = tf.ones([2], "float16")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = GradientReversal(dtype="float16")(x, strength=tf.constant(0.25))
    assert y.dtype == tf.float16
    np.testing.assert_array_equal(tape.gradient(y, x), [-0.25, -0.25])
