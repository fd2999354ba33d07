"""Resampling against plain loops: values, and gradients of both orders by matrix algebra."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfgans.ops.resample import resize_nearest, upfirdn

HEIGHT, WIDTH = 4, 5
FACTORS = list(itertools.product((1, 2, 3), repeat=2))
PADDINGS = [(0, 0, 0, 0), (3, 1, 0, 2), (-1, 4, 3, -2)]
KERNEL = np.random.default_rng(1).normal(size=(2, 3))


def plain(up, down, padding):
    """`upfirdn` by its definition, as a matrix on images [H, W]: [h, w, H, W]."""
    top, bottom, left, right = padding
    kh, kw = KERNEL.shape
    h = (HEIGHT * up[0] + top + bottom - kh) // down[0] + 1
    w = (WIDTH * up[1] + left + right - kw) // down[1] + 1
    matrix = np.zeros([h, w, HEIGHT, WIDTH])
    for i, j, a, b in itertools.product(range(h), range(w), range(kh), range(kw)):
        row, column = i * down[0] + a - top, j * down[1] + b - left  # among the inserted zeros
        r, c = row // up[0], column // up[1]
        if row % up[0] == 0 and column % up[1] == 0 and 0 <= r < HEIGHT and 0 <= c < WIDTH:
            matrix[i, j, r, c] += KERNEL[kh - 1 - a, kw - 1 - b]
    return matrix


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("up", FACTORS)
def test_value_and_gradients_of_both_orders_are_those_of_the_definition(up, padding):
    """With y = A x, L = sum(v y^3) and P = |dL/dx|^2 / 2, in float64."""
    random = np.random.default_rng(0)
    x = random.normal(size=(2, HEIGHT, WIDTH, 3))
    for down in FACTORS:
        a = plain(up, down, padding)
        y = np.einsum("ijrc,nrcd->nijd", a, x)
        v = random.normal(size=y.shape)
        first = np.einsum("ijrc,nijd->nrcd", a, 3 * v * y**2)
        change = 6 * v * y * np.einsum("ijrc,nrcd->nijd", a, first)
        second = np.einsum("ijrc,nijd->nrcd", a, change)

        tensor = tf.constant(x)
        with tf.GradientTape() as outer:
            outer.watch(tensor)
            with tf.GradientTape() as inner:
                inner.watch(tensor)
                found = upfirdn(tensor, KERNEL, up, down, padding)
                loss = tf.reduce_sum(v * found**3)
            gradient = inner.gradient(loss, tensor)
            penalty = tf.reduce_sum(gradient**2) / 2
        for ours, wanted in (
            (found, y),
            (gradient, first),
            (outer.gradient(penalty, tensor), second),
        ):
            np.testing.assert_allclose(ours, wanted, rtol=1e-8, atol=1e-8, err_msg=f"down={down}")


def test_columns_are_decimated_where_rows_are_not():
    x = np.arange(24.0).reshape(1, 4, 6, 1)
    np.testing.assert_array_equal(upfirdn(x, np.ones([1, 1]), down=(1, 3)), x[:, :, ::3])
    np.testing.assert_array_equal(upfirdn(x, np.ones([1, 1]), down=(3, 1)), x[:, ::3])


def test_nearest_takes_the_pixel_below_and_left():
    x = np.arange(24.0).reshape(1, 4, 6, 1)
    np.testing.assert_array_equal(resize_nearest(x, 2, 3), x[:, ::2, ::2])
    np.testing.assert_array_equal(resize_nearest(x, 8, 12), x.repeat(2, 1).repeat(2, 2))
    np.testing.assert_array_equal(resize_nearest(x, 3, 4), x[:, [0, 1, 2]][:, :, [0, 1, 3, 4]])


def test_a_crop_larger_than_the_image_takes_padding_away():
    x = np.arange(24.0).reshape(1, 4, 6, 1)
    found = upfirdn(x, np.ones([1, 1]), padding=(-5, 3, 8, -7))
    np.testing.assert_array_equal(found, np.pad(x, ((0, 0), (0, 3), (8, 0), (0, 0)))[:, 5:, :7])
