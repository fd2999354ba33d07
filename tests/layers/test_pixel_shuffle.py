"""Pixel shuffle in the order of PyTorch; its start without checkers."""

import keras
import numpy as np
import tensorflow as tf

from tfgans.layers.pixel_shuffle import ICNR, PixelShuffle


def test_channel_c_i_j_lands_at_i_j_of_channel_c():
    """A hand-made tensor: each value says where it came from."""
    x = np.zeros([2, 3, 5, 8], "float32")
    for n, y, column, channel in np.ndindex(x.shape):
        x[n, y, column, channel] = 1000 * n + 100 * y + 10 * column + channel
    out = PixelShuffle(2)(x).numpy()
    assert out.shape == (2, 6, 10, 2)
    for n, y, column, c in np.ndindex(out.shape):
        channel = 4 * c + 2 * (y % 2) + column % 2
        assert out[n, y, column, c] == 1000 * n + 100 * (y // 2) + 10 * (column // 2) + channel
    plain = tf.nn.depth_to_space(x, 2).numpy()
    assert not np.array_equal(out, plain)  # TensorFlow's order is (i, j, c)
    permuted = x.reshape(2, 3, 5, 2, 4).swapaxes(3, 4).reshape(x.shape)
    np.testing.assert_array_equal(out, tf.nn.depth_to_space(permuted, 2))


def test_any_size_and_factor():
    image = keras.Input([None, None, 18])
    network = keras.Model(image, PixelShuffle(3)(image))
    assert network.output_shape == (None, None, None, 2)
    assert network(np.zeros([1, 2, 4, 18])).shape == (1, 6, 12, 2)
    assert keras.Model(image, PixelShuffle(3)(image)).count_params() == 0
    assert PixelShuffle.from_config(PixelShuffle(3).get_config()).factor == 3


def test_icnr_gives_squares_of_one_value():
    for factor in (2, 3):
        conv = keras.layers.Conv2D(5 * factor**2, 3, kernel_initializer=ICNR(factor=factor))
        out = PixelShuffle(factor)(conv(np.random.RandomState(0).normal(size=[2, 6, 7, 4])))
        squares = out.numpy().reshape(2, 4, factor, 5, factor, 5)
        one = np.broadcast_to(squares[:, :, :1, :, :1], squares.shape)
        np.testing.assert_array_equal(squares, one)
        assert squares.std() > 0.1 and np.ptp(squares[:, :, 0, :, 0], axis=-1).min() > 0
    plain = PixelShuffle(2)(keras.layers.Conv2D(8, 3)(tf.random.normal([1, 4, 4, 4]))).numpy()
    assert np.abs(plain[:, ::2] - plain[:, 1::2]).max() > 0.01
    again = ICNR.from_config(ICNR("glorot_uniform", 2).get_config())
    assert isinstance(again.initializer, keras.initializers.GlorotUniform)


def test_icnr_keeps_the_deviation_of_its_initializer():
    kernel = ICNR("he_normal", 2)([3, 3, 32, 256])
    np.testing.assert_allclose(np.std(kernel), np.sqrt(2 / (9 * 32)), rtol=0.05)
