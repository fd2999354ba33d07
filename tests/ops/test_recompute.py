"""Recomputed parts have the derivatives of plain ones, of both orders, and keep less memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import memory
from tfgans.ops.recompute import recomputed


@pytest.fixture(scope="module")
def layers():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, activation="tanh") for _ in range(16)]
    for layer in layers:
        layer.build((None, 8))
    return layers


def network(layers, x, again):
    for k in range(0, len(layers), 4):
        part = layers[k : k + 4]

        def block(x, part=part):
            for layer in part:
                x = layer(x)
            return x

        x = recomputed(block, [x], part) if again else block(x)
    return x


def gradients(layers, x, again):
    """Gradients to the weights: of a loss, and of a penalty on its gradient to the input."""
    weights = [w.value for layer in layers for w in layer.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(network(layers, x, again) ** 2)
        penalty = tf.reduce_sum(inner.gradient(loss, x) ** 2)
    found = [tape.gradient(value, weights) for value in (loss, penalty)]
    return [tf.convert_to_tensor(g) for part in found for g in part]


@pytest.mark.parametrize("graph", [False, True])
def test_both_orders_equal_the_plain_network(layers, graph):
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 8)), "float32")
    run = tf.function(gradients, autograph=False) if graph else gradients
    found, plain = run(layers, x, True), gradients(layers, x, False)
    assert len(found) == 2 * 32
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_backward_pass_needs_less_memory(layers):
    weights = [w.value for layer in layers for w in layer.trainable_variables]

    def first(x, again):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(layers, x, again) ** 2)
        return tape.gradient(loss, weights)

    def peak(again):
        step = tf.function(lambda x: first(x, again), autograph=False)
        return memory.peak_bytes(step.get_concrete_function(tf.TensorSpec([10_000, 8])).graph)

    # Plain: 16 results and a few intermediate ones. Recomputed: 4 of parts, 4 within one part.
    assert peak(True) < 0.65 * peak(False)
