import numpy as np
import pytest
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.metrics import ms_ssim, ms_ssim_diversity, swd


def test_constants_by_hand():
    """Only the luminance of the last scale differs from 1."""
    a, b = np.full([2, 256, 256, 3], 100.0), np.full([2, 256, 256, 3], 110.0)
    expected = ((2 * 100 * 110 + 6.5025) / (100**2 + 110**2 + 6.5025)) ** 0.1333
    np.testing.assert_allclose(ms_ssim(a, b), expected, rtol=1e-10)
    assert expected == pytest.approx(0.99940, abs=5e-6)


def test_identical_images_of_any_size(rng):
    for shape in ([3, 256, 200, 3], [3, 32, 32, 1], [3, 28, 28, 1], [3, 9, 7, 1]):
        images = rng.integers(0, 256, shape)
        np.testing.assert_allclose(ms_ssim(images, images), 1, rtol=1e-12)


def test_tensorflow_on_images_that_are_large_enough(rng):
    """TensorFlow's own MS-SSIM is the mean over channels of each channel's value."""
    a = rng.integers(0, 256, [4, 192, 176, 1])
    b = np.clip(a + rng.normal(size=a.shape) * 40, 0, 255)
    theirs = tf.image.ssim_multiscale(tf.constant(a, "float32"), tf.constant(b, "float32"), 255.0)
    np.testing.assert_allclose(ms_ssim(a, b), theirs, rtol=2e-4)


def test_contrary_images_are_not_similar_and_diversity_is_of_neighbors(rng):
    a = rng.integers(0, 256, [4, 32, 32, 1])
    np.testing.assert_array_equal(ms_ssim(a, 255 - a), 0)  # negative structure counts as 0
    pairs = np.stack([a, np.clip(a + 20, 0, 255)], axis=1).reshape(8, 32, 32, 1)
    assert ms_ssim_diversity(pairs) > 0.9
    assert ms_ssim_diversity(np.roll(pairs, 1, axis=0)) < 0.3


def test_the_range_of_floats_is_that_of_both_sets(rng):
    """A black image is in 0..255 too; negative pixels, or nothing above 1, are of other ranges."""
    black, light = np.zeros([2, 16, 16, 1]), rng.uniform(50, 255, [2, 16, 16, 1])
    expected = ms_ssim(black.astype("uint8"), light)
    np.testing.assert_array_equal(ms_ssim(black, light), expected)
    np.testing.assert_array_equal(ms_ssim(light, black), expected)
    signed = light / 127.5 - 1
    for pair in ((signed, signed), (black, light / 255), (signed, light), (light, signed)):
        with pytest.raises(BadInput, match=r"these are in \[-1, 1\]"):
            ms_ssim(*pair)


def test_pixels_that_are_no_numbers_are_refused(rng):
    images = rng.uniform(0, 255, [2, 16, 16, 1])
    broken = images.copy()
    broken[1, 3, 4] = np.nan
    for metric in (ms_ssim, swd):
        with pytest.raises(BadInput, match="NaN or infinite pixels"):
            metric(images, broken)
