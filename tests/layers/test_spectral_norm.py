"""Spectral normalization against NumPy's singular values, and its gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans.layers.spectral_norm import SpectralNorm


def conv_like():
    layer = SpectralNorm(keras.layers.Conv2D(64, 3, padding="same", use_bias=False))
    layer.build([None, 4, 4, 32])
    layer.layer.kernel.assign(tf.random.normal([3, 3, 32, 64]))
    return layer


def largest(kernel):
    kernel = np.asarray(kernel)
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


def used_kernel(layer, training=False):
    """The kernel of the convolution, from the response to each input channel alone."""
    height, width, inputs, _ = layer.layer.kernel.shape
    x = tf.reshape(tf.eye(inputs), [inputs, 1, 1, inputs])
    x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])  # an impulse in the middle
    y = layer(x, training=training)  # [I, 3, 3, O], rotated by 180 degrees
    return tf.transpose(y[:, ::-1, ::-1], [1, 2, 0, 3]).numpy()


def test_largest_singular_value_becomes_one():
    layer = conv_like()
    stored = layer.layer.kernel.numpy()
    true = largest(stored)
    first = used_kernel(layer, training=True)
    assert np.linalg.norm(stored) / np.linalg.norm(first) <= true  # a new u underestimates it
    for _ in range(200):
        layer(tf.zeros([1, 3, 3, 32]), training=True)
    used = used_kernel(layer)
    assert np.linalg.norm(stored) / np.linalg.norm(used) == pytest.approx(true, rel=1e-3)
    assert largest(used) == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(used * true, stored, atol=1e-2)
    np.testing.assert_array_equal(layer.layer.kernel, stored)  # the kernel itself never changes


def test_u_moves_in_training_only():
    layer, x = conv_like(), tf.random.normal([2, 3, 3, 32])
    start = layer.u.numpy()
    layer(x)
    layer(x, training=False)
    np.testing.assert_array_equal(layer.u, start)
    layer(x, training=True)
    assert np.linalg.norm(layer.u) == pytest.approx(1.0, abs=1e-5)
    w = layer.layer.kernel.numpy().reshape(-1, 64)
    one_step = w.T @ (w @ start)
    np.testing.assert_allclose(layer.u, one_step / np.linalg.norm(one_step), atol=1e-5)


@pytest.mark.parametrize("steps", [1, 50])
def test_gradient_is_that_of_the_paper_and_orthogonal_to_the_kernel(steps):
    """dL/dW = (G - <G, W / sigma> v u^T) / sigma with G = dL/d(W / sigma), for any u."""
    layer = SpectralNorm(keras.layers.Dense(6))
    layer.build([None, 9])
    x, target = tf.random.normal([5, 9]), tf.random.normal([5, 6])
    for _ in range(steps - 1):
        layer(x, training=True)
    w, start = layer.layer.kernel.numpy(), layer.u.numpy()
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
        loss = tf.reduce_sum((y - target) ** 2)
    gradient, g_y = tape.gradient(loss, [layer.layer.kernel.value, y])
    inner = np.sum(gradient * w)
    assert abs(inner) < 1e-5 * np.linalg.norm(gradient) * np.linalg.norm(w)
    v = w @ start / np.linalg.norm(w @ start)
    u = w.T @ v / np.linalg.norm(w.T @ v)
    sigma = np.sum(v * (w @ u))
    g = x.numpy().T @ g_y.numpy()
    expected = (g - np.sum(g * w / sigma) * (v @ u.T)) / sigma
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


def test_scale_of_the_kernel_does_not_matter():
    layer, x = conv_like(), tf.random.normal([2, 5, 5, 32])
    before = layer(x, training=True).numpy()
    layer.layer.kernel.assign(2.0 * layer.layer.kernel)
    np.testing.assert_allclose(layer(x, training=False), layer(x, training=False), atol=0)
    layer.u.assign(tf.random.normal([64, 1]))
    doubled = layer(x).numpy()
    layer.layer.kernel.assign(0.5 * layer.layer.kernel)
    np.testing.assert_allclose(doubled, layer(x), atol=1e-5)
    assert before.shape == doubled.shape == (2, 5, 5, 64)


def test_bias_is_not_normalized_and_embeddings_are_matrices():
    dense = SpectralNorm(keras.layers.Dense(3, bias_initializer="ones"))
    dense.build([None, 4])
    np.testing.assert_array_equal(dense(tf.zeros([2, 4])), tf.ones([2, 3]))
    table = SpectralNorm(keras.layers.Embedding(5, 3))
    table.build([None])
    for _ in range(100):
        table(tf.constant([0]), training=True)
    rows = table(tf.range(5)).numpy()
    assert np.linalg.svd(rows, compute_uv=False)[0] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_sigma_is_float32_in_half_precision(precision):
    keras.config.set_dtype_policy(precision)
    image = keras.Input([4, 4, 3])
    layer = SpectralNorm(keras.layers.Conv2D(8, 3))
    network = keras.Model(image, layer(image))
    assert network.output.dtype == precision.removeprefix("mixed_")
    layer.layer.kernel.assign(1e5 * layer.layer.kernel)  # more than float16 holds
    out = network(tf.random.normal([2, 4, 4, 3]), training=True)
    assert np.isfinite(out).all() and layer.u.dtype == "float32"
    assert np.linalg.norm(layer.u) == pytest.approx(1.0, abs=1e-5)


def test_a_copy_and_its_state():
    image = keras.Input([4, 4, 3])
    network = keras.Model(image, SpectralNorm(keras.layers.Conv2D(8, 3))(image))
    x = tf.random.normal([2, 4, 4, 3])
    network(x, training=True)
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    np.testing.assert_array_equal(copy(x), network(x))
    assert [tuple(w.shape) for w in copy.non_trainable_weights] == [(8, 1)]
