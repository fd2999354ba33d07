"""Resize methods: the numbers that distinguish them, and those of PyTorch."""

import pathlib

import numpy as np
import pytest

from tfgans.errors import BadInput
from tfgans.features.resize import RESIZES, antialiased, at_centers, at_corners, rgb

REFERENCE = pathlib.Path(__file__).with_name("inception_reference.npz")


def doubled(resize):
    """The row 0 1 2 3, once in each direction, resized to 8."""
    row = np.tile(np.array([0, 1, 2, 3], "float32"), [4, 1])
    both = np.stack([row, row.T])[..., None]
    across, down = np.asarray(resize(both, 8))[..., 0]
    np.testing.assert_array_equal(across, down.T)
    np.testing.assert_array_equal(across, np.tile(across[0], [8, 1]))
    return across[0]


def test_bilinear_of_tensorflow_1_and_2():
    np.testing.assert_allclose(doubled(at_corners), [0, 0.5, 1, 1.5, 2, 2.5, 3, 3], atol=1e-6)
    np.testing.assert_allclose(
        doubled(at_centers), [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], atol=1e-6
    )


def test_ranges():
    images = np.array([0, 128, 255], "uint8").reshape(3, 1, 1, 1) * np.ones([1, 4, 4, 3], "uint8")
    for name, wanted in (
        ("tf1", [-1, 0, 127 / 128]),
        ("tf2", [-1, 0, 127 / 128]),
        ("clean", [-1, 0, 127 / 128]),
        ("torch", [-1, 1 / 255, 1]),
        ("tfgan", [-1, 1 / 255, 1]),
    ):
        x = np.asarray(RESIZES[name](images, 8))
        assert x.shape == (3, 8, 8, 3) and x.dtype == np.float32, name
        np.testing.assert_allclose(x, np.reshape(wanted, [3, 1, 1, 1]) + 0 * x, atol=1e-6)
    assert RESIZES["none"](images, None) is images


def test_torch_is_what_pytorch_fid_feeds_its_network():
    """torch.nn.functional.interpolate without antialiasing, reducing by 2.9 and by 2.4."""
    images = np.random.default_rng(0).uniform(0, 255, [2, 40, 50, 3]).round().astype("uint8")
    expected = np.load(REFERENCE)["resized"]
    np.testing.assert_allclose(RESIZES["torch"](images, 17), expected, atol=2e-5)
    for name in ("tf1", "clean"):
        assert np.abs(np.asarray(RESIZES[name](images, 17)) - expected).mean() > 0.1


def cubic(x):
    """Keys' cubic kernel with a = -1/2."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def test_clean_is_bicubic_with_antialiasing_on_floats():
    """Each output is a weighted mean of inputs under a kernel as wide as the reduction."""
    images = np.random.default_rng(1).integers(0, 256, [1, 24, 24, 2]).astype("uint8")
    scale = 24 / 9
    centers = (np.arange(9) + 0.5) * scale
    weights = cubic((np.arange(24) + 0.5 - centers[:, None]) / scale)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.einsum("yi,xj,nijc->nyxc", weights, weights, images.astype("float64"))
    found = antialiased(images, 9)
    np.testing.assert_allclose(found, np.clip(expected, 0, 255), atol=1e-3)
    assert np.abs(found - np.round(found)).max() > 0.4  # never rounded
    step = np.zeros([1, 8, 8, 1], "uint8")
    step[:, :, 4:] = 255  # bicubic overshoots at a step
    up = antialiased(step, 32)
    assert up.min() == 0 and up.max() == 255 and (up == 255).mean() > 0.4


def test_channels():
    gray = np.random.default_rng(2).integers(0, 256, [2, 5, 4, 1]).astype("uint8")
    np.testing.assert_array_equal(rgb(gray), np.concatenate([gray] * 3, axis=3))
    rgba = np.random.default_rng(3).integers(0, 256, [2, 5, 4, 4]).astype("uint8")
    np.testing.assert_array_equal(rgb(rgba), rgba[..., :3])
    for wrong in (gray.astype("float32"), gray[0], np.zeros([1, 4, 4, 2], "uint8")):
        with pytest.raises(BadInput, match=r"uint8 images \[N, H, W, C\] with 1, 3 or 4 channels"):
            rgb(wrong)
