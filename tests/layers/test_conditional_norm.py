"""Conditional batch normalization: its tables, and the plain normalization without them."""

import keras
import numpy as np
import tensorflow as tf

from tfgans.layers.conditional_norm import ConditionalBatchNorm


def layer_and_batch():
    layer = ConditionalBatchNorm()
    layer.build([None, 3, 3, 4], [None, 5])
    return layer, tf.random.normal([6, 3, 3, 4]) * 3.0 + 1.0, tf.one_hot([2, 0, 2, 4, 4, 2], 5)


def test_starts_as_plain_batch_normalization():
    layer, x, label = layer_and_batch()
    assert layer.gamma.shape == layer.beta.shape == (5, 4)
    plain = keras.layers.BatchNormalization(momentum=0.9, epsilon=2e-5)
    np.testing.assert_allclose(layer(x, label, training=True), plain(x, training=True), atol=1e-6)
    np.testing.assert_allclose(layer(x, label), plain(x), atol=1e-6)  # the same moving averages
    np.testing.assert_allclose(layer.norm.moving_mean, 0.1 * np.mean(x, (0, 1, 2)), rtol=1e-5)


def test_each_class_has_its_own_gain_and_bias():
    layer, x, label = layer_and_batch()
    normalized = layer(x, label, training=True).numpy()
    layer.gamma.assign(tf.random.normal([5, 4]))
    layer.beta.assign(tf.random.normal([5, 4]))
    found = layer(x, label, training=True).numpy()
    for i, k in enumerate([2, 0, 2, 4, 4, 2]):
        expected = normalized[i] * layer.gamma.numpy()[k] + layer.beta.numpy()[k]
        np.testing.assert_allclose(found[i], expected, atol=1e-5)


def test_only_rows_of_present_classes_get_a_gradient():
    layer, x, label = layer_and_batch()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, label, training=True) ** 3)
    for gradient in tape.gradient(loss, [layer.gamma.value, layer.beta.value]):
        assert np.abs(gradient).max(axis=1).astype(bool).tolist() == [
            True,
            False,
            True,
            False,
            True,
        ]
