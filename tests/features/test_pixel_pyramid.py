"""The distance of image pyramids in closed form, and the scales at which it sees differences."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.features.pixel_pyramid import pixel_pyramid_l2


def test_a_constant_difference_counts_at_all_four_scales():
    a = np.zeros([2, 16, 8, 3], "float32")
    b = a + np.array([0.5, 0.0], "float32").reshape(2, 1, 1, 1)
    np.testing.assert_allclose(pixel_pyramid_l2(a, b), [4 * 0.25, 0.0])


def test_a_checkerboard_is_seen_at_the_first_scale_only():
    y, x = np.mgrid[0:16, 0:16]
    for side, scales in ((1, 1), (2, 2), (4, 3), (8, 4)):
        board = np.where((y // side + x // side) % 2, 1.0, -1.0).astype("float32")
        distance = pixel_pyramid_l2(board[None, ..., None], np.zeros([1, 16, 16, 1], "float32"))
        assert float(distance[0]) == scales


def test_against_numpy_on_an_odd_side():
    a, b = np.random.default_rng(0).uniform(-1, 1, [2, 3, 9, 12, 2]).astype("float32")
    expected, d = np.mean((a - b) ** 2, axis=(1, 2, 3)), a - b
    for height, width in ((4, 6), (2, 3), (1, 1)):
        d = d[:, : 2 * height, : 2 * width]
        d = (d[:, ::2, ::2] + d[:, 1::2, ::2] + d[:, ::2, 1::2] + d[:, 1::2, 1::2]) / 4
        expected = expected + np.mean(d**2, axis=(1, 2, 3))
    np.testing.assert_allclose(pixel_pyramid_l2(a, b), expected, rtol=1e-5)


def test_second_derivative():
    """A squared norm has a constant second derivative: twice the distance of the direction."""
    direction = tf.random.stateless_normal([1, 8, 8, 1], [0, 0])
    t = tf.constant(0.3)
    with tf.GradientTape() as outer:
        outer.watch(t)
        with tf.GradientTape() as inner:
            inner.watch(t)
            distance = pixel_pyramid_l2(t * direction, tf.zeros([1, 8, 8, 1]))[0]
        slope = inner.gradient(distance, t)
    assert float(distance) > 0
    np.testing.assert_allclose(outer.gradient(slope, t), 2 * distance / 0.09, rtol=1e-5)


def test_too_small():
    with pytest.raises(BadInput, match="at least 8 pixels, not 4 x 8"):
        pixel_pyramid_l2(np.zeros([1, 4, 8, 1]), np.zeros([1, 4, 8, 1]))
