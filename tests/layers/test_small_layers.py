"""Pixel norm, minibatch statistics, dropout, maxout, equalized layers: numeric identities."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.dropout import Dropout
from tfgans.layers.equalized import EqualizedDense
from tfgans.layers.maxout import Maxout
from tfgans.layers.minibatch_stddev import MinibatchStdDev
from tfgans.ops.pixel_norm import pixel_norm
from tfgans.optimizers import Adam


def test_pixel_norm():
    x = tf.random.normal([3, 5, 16]) * 7
    y = pixel_norm(x)
    np.testing.assert_allclose(tf.reduce_mean(y**2, -1), 1.0, atol=1e-5)
    np.testing.assert_allclose(pixel_norm(5 * x), y, atol=1e-5)
    assert np.all(pixel_norm(tf.zeros([1, 4])).numpy() == 0)


def test_minibatch_groups_are_strided():
    """Constant images v0..v7 in groups of 4 give [a, b, a, b, ...], with a from 0, 2, 4, 6."""
    v = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], "float32")
    x = tf.constant(v.reshape(8, 1, 1, 1) * np.ones([8, 2, 2, 3], "float32"))
    y = MinibatchStdDev(4)(x).numpy()
    assert y.shape == (8, 2, 2, 4)
    a, b = np.std(v[::2]), np.std(v[1::2])
    np.testing.assert_allclose(y[:, 0, 0, 3], [a, b] * 4, rtol=1e-5)
    np.testing.assert_array_equal(y[..., :3], x)
    small = MinibatchStdDev(4)(x[:2]).numpy()[..., 3]
    np.testing.assert_allclose(small, np.std(v[:2]), rtol=1e-5)
    for group in (0, None):
        whole = MinibatchStdDev(group)(x).numpy()[..., 3]
        np.testing.assert_allclose(whole, np.std(v), rtol=1e-5)
    message = "groups of 4, and 6 images .*data.batch_size, train.accumulate or model.minibatch_gr"
    with pytest.raises(BadInput, match=message):
        MinibatchStdDev(4)(x[:6])


def test_dropout_keeps_the_mean_and_is_off_at_inference():
    layer, x = Dropout(0.25), tf.ones([100, 100])
    with random.scope(0):
        y = layer(x, training=True).numpy()
        z = layer(x, training=True).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.02)
    assert np.mean((y == 0) & (z == 0)) == pytest.approx(0.25**2, abs=0.02)
    np.testing.assert_array_equal(layer(x), x)
    with random.scope(0):
        np.testing.assert_array_equal(Dropout(0.25, always=True)(x), y)


def test_dropout_of_whole_maps():
    layer, x = Dropout(0.3, whole_maps=True), tf.ones([20, 4, 5, 50])
    with random.scope(0):
        y = layer(x, training=True).numpy()
    np.testing.assert_array_equal(y, np.tile(y[:, :1, :1], [1, 4, 5, 1]))
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
    assert np.mean(y[:, 0, 0] == 0) == pytest.approx(0.3, abs=0.05)
    assert len(np.unique(y[:, 0, 0] == 0, axis=0)) == 20  # each image drops its own maps
    assert type(layer).from_config(layer.get_config()).whole_maps


def test_maxout_is_the_largest_affine_map():
    layer = Maxout(3, 5, spread=1.0)
    x, y = tf.random.normal([2, 16, 7])
    layer.build(x.shape)
    layer.bias.assign(tf.random.normal(layer.bias.shape))
    kernel, bias = layer.kernel.numpy().reshape(7, 3, 5), layer.bias.numpy().reshape(3, 5)
    pieces = np.einsum("ni,iuk->nuk", x, kernel) + bias
    np.testing.assert_allclose(layer(x), pieces.max(axis=2), atol=1e-5)
    middle = layer((x + y) / 2)
    assert np.all(middle <= (layer(x) + layer(y)) / 2 + 1e-5)  # convex
    assert np.abs(layer.kernel.numpy()).max() > 0.9


def test_equalized_dense_moves_by_the_scaled_learning_rate():
    """At rate 1e-3 a stored weight moves by 1e-3; in effect, by lr_mul / sqrt(512) times that."""
    for lr_mul in (1.0, 0.01):
        layer = EqualizedDense(4, lr_mul=lr_mul, bias_start=1.0)
        x = tf.random.normal([8, 512])
        before = layer(x).numpy()
        assert layer.kernel.numpy().std() == pytest.approx(1 / lr_mul, rel=0.1)
        assert before.mean() == pytest.approx(1.0, abs=0.5)
        effective = layer(tf.eye(512)).numpy()
        with tf.GradientTape() as tape:
            loss = 1e6 * tf.reduce_sum(layer(x))
        optimizer = Adam(1e-3, beta_1=0.0, beta_2=0.99)
        optimizer.build(layer.trainable_variables)
        values = [w.value for w in layer.trainable_variables]
        stored = layer.kernel.numpy()
        optimizer.apply(tape.gradient(loss, values), layer.trainable_variables)
        moved = np.abs(layer.kernel.numpy() - stored)
        np.testing.assert_allclose(moved, 1e-3, rtol=0.02 if lr_mul == 1 else 0.05)
        layer.bias.assign(layer.bias * 0.0 + 1.0 / lr_mul)
        change = np.abs(layer(tf.eye(512)).numpy() - effective)
        np.testing.assert_allclose(change, 1e-3 * lr_mul / 512**0.5, rtol=0.2)


def test_adam_is_algorithm_1_of_its_paper():
    optimizer = Adam(0.1, beta_1=0.5, beta_2=0.9, epsilon=1e-3)
    w = tf.keras.Variable([1.0, -2.0])
    optimizer.build([w])
    expected, m, v = np.array([1.0, -2.0]), 0.0, 0.0
    for t in range(1, 5):
        g = np.array([1e-3, 2.0]) * t
        optimizer.apply([tf.constant(g, "float32")], [w])
        m, v = 0.5 * m + 0.5 * g, 0.9 * v + 0.1 * g**2
        expected = expected - 0.1 * (m / (1 - 0.5**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-3)
        np.testing.assert_allclose(w.numpy(), expected, rtol=1e-5)


def test_adam_sums_the_gradient_of_a_row_that_is_read_twice():
    table = tf.keras.Variable([[1.0], [2.0], [3.0]])
    optimizer = Adam(0.1, epsilon=1e-8)
    gradient = tf.IndexedSlices(tf.constant([[1.0], [3.0], [-2.0]]), tf.constant([1, 1, 2]), [3, 1])
    optimizer.apply([gradient], [table])
    np.testing.assert_allclose(table, [[1.0], [1.9], [3.1]], rtol=1e-6)
