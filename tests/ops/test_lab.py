"""CIELAB: published values of colors, grays, the way there and back, gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans.ops.lab import lab_to_rgb, linear, rgb_to_lab


@pytest.mark.parametrize(
    "rgb, lab",
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((255, 255, 0), (97.14, -21.55, 94.48)),
        ((128, 128, 128), (53.59, 0, 0)),
    ],
)
def test_published_values(rgb, lab):
    """Lindbloom's calculator and scikit-image, to the decimals that are written there."""
    found = rgb_to_lab(tf.constant([rgb], "float32") / 127.5 - 1.0)[0]
    np.testing.assert_allclose(found, lab, atol=0.012)


def test_lightness_by_its_formula():
    """116 Y^(1/3) - 16 above Y = 0.008856, 903.3 Y below; halfway gray has Y = 0.2140."""
    gray = np.array([[-1 + 2 * v / 255] * 3 for v in (2, 8, 127.5, 200)], "float32")
    y = linear(gray).numpy()[:, 0]
    assert y[2] == pytest.approx(0.2140, abs=1e-4)
    expected = np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, 24389 / 27 * y)
    np.testing.assert_allclose(rgb_to_lab(gray)[:, 0], expected, rtol=1e-4)
    np.testing.assert_allclose(rgb_to_lab(gray)[:, 1:], 0, atol=1e-3)


def test_there_and_back():
    x = np.random.RandomState(0).uniform(-1, 1, [2, 20, 20, 3]).astype("float32")
    np.testing.assert_allclose(lab_to_rgb(rgb_to_lab(x)), x, atol=5e-5)
    beyond = lab_to_rgb(tf.constant([[50.0, 120.0, -120.0], [100.0, 50.0, 0.0]]))
    assert np.abs(beyond).max() == 1  # cut, not wrapped


def test_gradients_are_finite_at_the_ends():
    x = tf.constant([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [-0.99, 0.3, 1.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        lab = rgb_to_lab(x)
        back = lab_to_rgb(lab)
    assert np.isfinite(tape.gradient(lab, x)).all() and np.isfinite(tape.gradient(back, x)).all()
