import math

import numpy as np
import pytest

from tfgans.errors import BadInput
from tfgans.metrics import swd
from tfgans.metrics.swd import (
    cut_patches,
    enlarge,
    laplacian_pyramid,
    normalize_each,
    patches_of_levels,
    sliced_distance,
    swd_of_patches,
    tfgan_swd,
)


@pytest.fixture
def textures(rng):
    return rng.integers(0, 256, [12, 32, 64, 3]).astype("float64")


def test_pyramid_adds_up_to_the_image(textures):
    levels = laplacian_pyramid(textures)
    assert list(levels) == [32, 16] and levels[16].shape == (12, 16, 32, 3)
    np.testing.assert_allclose(levels[32] + enlarge(levels[16]), textures, atol=1e-6)
    flat = laplacian_pyramid(np.full([1, 64, 64, 1], 7.0))
    np.testing.assert_allclose(flat[16], 7)  # the filter keeps constants, at the border too
    np.testing.assert_allclose(flat[64][:, 2:-2, 2:-2], 0, atol=1e-12)
    with pytest.raises(BadInput, match="at least 16 x 16"):
        laplacian_pyramid(np.zeros([1, 8, 8, 1]))


def test_shifted_gaussian_clouds_in_closed_form(rng):
    """|v| Gamma(n / 2) / (sqrt(pi) Gamma((n + 1) / 2)): the mean length of v's projections."""
    n, length = 147, 3.0
    a, b = rng.normal(size=[2, 20000, n])
    v = rng.normal(size=n)
    v *= length / np.linalg.norm(v)
    directions = rng.normal(size=[n, 512])
    measured = sliced_distance(a, b + v, directions)
    expected = length * math.gamma(n / 2) / (math.sqrt(math.pi) * math.gamma((n + 1) / 2))
    assert expected == pytest.approx(0.1978, abs=1e-4)
    assert measured == pytest.approx(expected, rel=0.08)
    # The same cloud, shifted: exact, without sampling noise
    unit = directions / np.linalg.norm(directions, axis=0)
    exact = np.abs(v @ unit).mean()
    assert sliced_distance(a, a + v, directions) == pytest.approx(exact, rel=1e-9)


def test_colors_of_a_set_do_not_matter_but_its_shape_does(textures):
    patches = patches_of_levels(textures, 64, np.random.default_rng(0))
    recolored = {
        side: p * np.array([0.5, 2, 3], "float32") + np.array([9, -20, 4], "float32")
        for side, p in patches.items()
    }
    for value in swd_of_patches(patches, recolored).values():
        assert value < 1e-2  # about 1,000 for unlike sets; not 0 in float32
    smooth = {side: np.cumsum(p, axis=1) for side, p in patches.items()}
    assert min(swd_of_patches(patches, smooth).values()) > 50


def test_the_same_images_and_other_images(textures, rng):
    patches = patches_of_levels(textures, 64, np.random.default_rng(0))
    assert set(swd_of_patches(patches, patches).values()) == {0.0}
    again, shifted = swd(textures, textures), swd(textures, np.roll(textures, 5, axis=2))
    assert max(again[32], shifted[32]) < 60  # other patches of the same texture
    smooth = np.cumsum(textures, axis=2)
    unlike = swd(textures, smooth)
    assert min(unlike.values()) > 2 * max(again.values())
    assert swd(textures, smooth) == unlike


def test_tensorflow_gan(tfgan):
    """Our pyramid, patches and distance with the draws of the real package."""
    recorded = tfgan("sliced_wasserstein")
    levels = {name: laplacian_pyramid(recorded[name] / 127.5 - 1) for name in ("real", "fake")}
    levels["again"] = levels["real"]
    for row, side in enumerate((32, 16)):
        a, again, b = (
            normalize_each(cut_patches(levels[role][side], *recorded[f"centers/{role}_{side}"]))
            for role in ("real", "again", "fake")
        )
        for column, (name, other) in enumerate((("again", again), ("fake", b))):
            directions = recorded[f"projection/real_{name}_{side}"]
            value = sliced_distance(a, other, directions)
            assert value == pytest.approx(recorded["scores"][row, column], rel=1e-5)


def test_tensorflow_gan_with_our_draws(textures):
    smooth = np.cumsum(textures, axis=2)
    ((same, other), _) = tfgan_swd(textures, smooth, patches_per_image=32)
    assert 0 < same < 0.1 and 1.5 * same < other < 1  # not times 1,000
