"""Backward warp: its values by SciPy, its gradients by finite differences, its borders; masks."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfgans.ops.warp import confidence, masked_l1, warp

KEYS = np.random.RandomState(0)
IMAGE = KEYS.standard_normal([2, 6, 9, 3]).astype("float32")


def test_no_flow_and_whole_pixels():
    """f_u = 1 shows each pixel its right neighbor; the last column is repeated."""
    flow = np.zeros([2, 6, 9, 2], "float32")
    np.testing.assert_array_equal(warp(IMAGE, flow), IMAGE)
    flow[..., 0] = 1
    right = warp(IMAGE, flow).numpy()
    np.testing.assert_array_equal(right[:, :, :-1], IMAGE[:, :, 1:])
    np.testing.assert_array_equal(right[:, :, -1], IMAGE[:, :, -1])
    np.testing.assert_array_equal(warp(IMAGE, -flow)[:, :, 1:], IMAGE[:, :, :-1])
    down = warp(IMAGE, flow[..., ::-1]).numpy()
    np.testing.assert_array_equal(down[:, :-1], IMAGE[:, 1:])


def test_values_between_pixels_and_outside():
    flow = 4 * KEYS.standard_normal([2, 6, 9, 2]).astype("float32")
    found = warp(IMAGE, flow).numpy()
    y, x = np.mgrid[:6, :9]
    for image, (u, v), made in zip(IMAGE, np.moveaxis(flow, 3, 1), found, strict=True):
        for channel in range(3):
            wanted = ndimage.map_coordinates(
                image[..., channel], [y + v, x + u], order=1, mode="nearest"
            )
            np.testing.assert_allclose(made[..., channel], wanted, atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    flow = KEYS.uniform(-2, 2, [2, 6, 9, 2])
    flow = np.floor(flow) + 0.2 + 0.6 * (flow - np.floor(flow))  # bilinear has kinks at pixels
    weight = KEYS.standard_normal(IMAGE.shape).astype("float32")

    def loss(image, flow):
        return tf.reduce_sum(warp(image, flow) * weight)

    given = [tf.constant(x, "float32") for x in (IMAGE, flow)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = loss(*given)
    for k, gradient in enumerate(tape.gradient(total, given)):
        gradient = tf.convert_to_tensor(gradient).numpy()
        assert np.abs(gradient).max() > 0.1
        for _ in range(40):
            place, step = tuple(KEYS.randint(side) for side in gradient.shape), 0.02
            sides = []
            for sign in (1, -1):
                moved = [x.numpy() for x in given]
                moved[k][place] += sign * step
                sides.append(float(loss(*moved)))
            slope = (sides[0] - sides[1]) / (2 * step)
            np.testing.assert_allclose(gradient[place], slope, atol=2e-3)


def test_outside_the_flow_has_no_gradient():
    flow = tf.fill([2, 6, 9, 2], 50.0)
    with tf.GradientTape() as tape:
        tape.watch(flow)
        warped = warp(IMAGE, flow)
        total = tf.reduce_sum(warped)
    np.testing.assert_array_equal(tape.gradient(total, flow), 0)
    np.testing.assert_array_equal(warped, np.broadcast_to(IMAGE[:, -1:, -1:], IMAGE.shape))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_type_and_shape_stay(dtype):
    """Places are counted in float32: float16 has no half pixels beyond 1,024."""
    wide = tf.cast(tf.range(2000) % 2, dtype)[tf.newaxis, tf.newaxis, :, tf.newaxis]
    flow = tf.constant([0.5, 0.0]) * tf.ones([1, 1, 2000, 2])
    image = tf.TensorSpec([None, None, None, 1], dtype)
    two = tf.TensorSpec([None, None, None, 2])
    traced = tf.function(warp, input_signature=[image, two])
    warped = traced(wide, flow)
    assert warped.dtype == dtype and warped.shape == (1, 1, 2000, 1)
    np.testing.assert_array_equal(warped[0, 0, :-1, 0], 0.5)
    one = warp(tf.ones([1, 1, 1, 2]), tf.ones([1, 1, 1, 2]))  # a single pixel
    np.testing.assert_array_equal(one, 1)


def test_confidence():
    """0.08 on three channels (sum 0.0192) is confident, 0.09 (0.0243) is not; it is constant."""
    flow = tf.zeros([2, 6, 9, 2])
    np.testing.assert_array_equal(confidence(IMAGE + 0.08, IMAGE, flow), np.ones([2, 6, 9, 1]))
    np.testing.assert_array_equal(confidence(IMAGE - 0.09, IMAGE, flow), np.zeros([2, 6, 9, 1]))
    one = np.array(IMAGE)
    one[0, 2, 3, 1] += 0.15
    found = confidence(one, IMAGE, flow).numpy()
    assert found.sum() == 2 * 6 * 9 - 1 and found[0, 2, 3, 0] == 0
    right = flow + [1.0, 0.0]  # the frame before has the content one pixel to the right
    moved = np.concatenate([IMAGE[:, :, 1:], IMAGE[:, :, -1:]], axis=2)
    np.testing.assert_array_equal(confidence(moved, IMAGE, right), np.ones([2, 6, 9, 1]))
    assert float(tf.reduce_mean(confidence(moved, IMAGE, -right))) < 0.3
    given = [tf.constant(x) for x in (IMAGE, IMAGE + 0.1, flow + 0.3)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(confidence(*given))
    assert tape.gradient(total, given) == [None, None, None]


def test_a_masked_distance_is_a_mean_over_all_pixels():
    mask = np.zeros([2, 6, 8, 1], "float32")
    mask[:, :, :4] = 1
    image = tf.constant(IMAGE[:, :, :8])
    assert float(masked_l1(mask, image, image + 1.0)) == pytest.approx(0.5)
    assert float(masked_l1(mask, image, image)) == 0.0
    assert float(masked_l1(0.5 * mask, image - 1.0, image)) == pytest.approx(0.25)
