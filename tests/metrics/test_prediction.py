"""Measures of predicted frames: the values of Mathieu et al. for known errors."""

import numpy as np
import pytest

from tfgans.metrics.prediction import moving_pixels, psnr, sharpness

TRUE = np.random.RandomState(0).uniform(-0.5, 0.5, [2, 8, 6, 3])


def test_an_error_of_two_levels_is_42_decibels():
    np.testing.assert_allclose(psnr(TRUE + 2 / 128, TRUE), [42.11, 42.11], atol=5e-3)
    np.testing.assert_allclose(psnr(TRUE, TRUE), [88.13, 88.13], atol=5e-3)


def test_still_pixels_stay_in_the_mean():
    """Half of the pixels with an error: half of the square, 3.01 dB more."""
    moving = np.zeros([2, 8, 6], bool)
    moving[:, :4] = True
    np.testing.assert_allclose(psnr(TRUE + 2 / 128, TRUE, moving), 2 * [42.11 + 3.01], atol=1e-2)


def test_sharpness():
    """A perfect frame has 88.13 dB; a ramp of 0.1 a pixel against a plain frame 16.0 dB."""
    np.testing.assert_allclose(sharpness(TRUE, TRUE), [88.13, 88.13], atol=5e-3)
    np.testing.assert_allclose(sharpness(TRUE + 0.3, TRUE), [88.13, 88.13], atol=5e-3)
    ramp = np.zeros([1, 8, 6, 1]) + 0.1 * np.arange(6)[:, None]
    decibels = 10 * np.log10(255**2 / (128**2 * 0.1))
    assert sharpness(ramp, 0 * ramp)[0] == pytest.approx(decibels)
    assert sharpness(0 * ramp, -ramp)[0] == pytest.approx(decibels)
    down = np.swapaxes(ramp, 1, 2)
    assert sharpness(down, 0 * down)[0] == pytest.approx(decibels)
    nothing = np.zeros([1, 8, 6], bool)
    assert sharpness(ramp, 0 * ramp, nothing)[0] == pytest.approx(88.13, abs=5e-3)


def test_moving_pixels():
    moved = TRUE.copy()
    moved[0, 2, 3, 1] += 0.1
    moved[1, 0, 0, 0] += 0.01
    found = moving_pixels(TRUE, moved)
    assert found.shape == (2, 8, 6) and np.argwhere(found).tolist() == [[0, 2, 3]]
