"""Resampling and convolution as one operation, against two operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans.layers.resampled_conv import DownConv2D, UpConv2D
from tfgans.layers.spectral_norm import SpectralNorm


def in_turn(kind, layer, x):
    """The two operations of `layer`, one after the other."""
    kernel, bias = layer.kernel.value, layer.bias.value
    if kind is UpConv2D:
        x = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
    x = layer.activation(tf.nn.conv2d(x, kernel, 1, "SAME") + bias)
    return x if kind is UpConv2D else tf.nn.avg_pool2d(x, 2, 2, "VALID")


@pytest.mark.parametrize("kind", [UpConv2D, DownConv2D])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("sides", [(8, 6), (7, 5)])
def test_one_operation_equals_two(kind, size, sides):
    """Outputs, gradients, and gradients of the gradient's norm, borders included."""
    activation = "elu" if kind is UpConv2D else None
    layer = kind(4, size, padding="same", bias_initializer="normal", activation=activation)
    x = tf.random.normal([2, *sides, 3])
    assert layer(x).shape == layer.compute_output_shape(x.shape)

    def results(call):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = call(x)
                loss = tf.reduce_sum(tf.sin(y))
            gradient = tape.gradient(loss, x)
            penalty = tf.reduce_sum(tf.square(gradient))
        return y, gradient, outer.gradient(penalty, layer.kernel.value)

    wanted = results(lambda x: in_turn(kind, layer, x))
    for a, b in zip(results(layer), wanted, strict=True):
        assert np.abs(b).max() > 0.1
        np.testing.assert_allclose(a, b, rtol=0, atol=5e-6 * np.abs(b).max())


def test_within_spectral_normalization():
    """The layer convolves with the normalized kernel, whose largest singular value is 1."""
    wrapped = SpectralNorm(DownConv2D(4, 3, padding="same"))
    x = tf.random.normal([2, 8, 8, 3])
    for _ in range(50):
        wrapped(x, training=True)
    layer, found = wrapped.layer, wrapped(x)
    sigma = np.linalg.svd(layer.kernel.numpy().reshape(-1, 4), compute_uv=False)[0]
    layer.kernel.assign(layer.kernel / sigma)
    np.testing.assert_allclose(found, in_turn(DownConv2D, layer, x), atol=1e-5)


def test_saved_and_loaded(tmp_path):
    image = keras.Input([8, 8, 3])
    up, down = (kind(4, 3, padding="same") for kind in (UpConv2D, DownConv2D))
    network = keras.Model(image, down(up(image)))
    network.save(tmp_path / "network.keras")
    own = {kind.__name__: kind for kind in (UpConv2D, DownConv2D)}
    again = keras.models.load_model(tmp_path / "network.keras", custom_objects=own)
    x = tf.random.normal([1, 8, 8, 3])
    np.testing.assert_array_equal(network(x), again(x))
