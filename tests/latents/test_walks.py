"""Latent walks and mixing tables."""

import numpy as np
import pytest

from tfgans import latents
from tfgans.models import GAN, StyleGAN2


def test_slerp_stays_on_the_sphere_and_meets_both_ends():
    a, b = np.random.RandomState(0).randn(2, 5, 64)
    a, b = (8 * v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    np.testing.assert_allclose(latents.slerp(a, b, 0.0), a)
    np.testing.assert_allclose(latents.slerp(a, b, 1.0), b, atol=1e-12)
    for t in (0.25, 0.5):
        middle = latents.slerp(a, b, t)
        np.testing.assert_allclose(np.linalg.norm(middle, axis=-1), 8.0)
        angle = np.arccos(np.sum(a * b, -1) / 64)
        np.testing.assert_allclose(np.arccos(np.sum(a * middle, -1) / 64), t * angle)
    np.testing.assert_allclose(latents.slerp(a, a, 0.5), a)


@pytest.fixture(scope="module")
def model():
    return StyleGAN2(
        image_shape=(8, 8, 3), latent_dim=8, style_dim=8, mapping_layers=1, channel_base=64,
        channel_max=8,
    )  # fmt: skip


def test_loop_is_closed_and_smooth(model):
    walk = latents.loop(model, stops=3, frames=8, seed=1)
    assert walk.shape == (24, 8, 8, 3)
    steps = np.abs(walk - np.roll(walk, 1, axis=0)).max(axis=(1, 2, 3))
    distance = np.abs(walk[0] - walk[8]).max()
    assert steps.max() < 0.7 * distance and steps.min() > 0


def test_mixing_table_takes_coarse_styles_from_rows(model):
    table = latents.mixing_table(model, rows=2, columns=3, seed=4).reshape(3, 4, 8, 8, 3)
    assert np.all(table[0, 0] == 1)
    for layers, axis in ((0, 0), (4, 1)):  # no coarse layer: columns again; all of them: rows
        same = latents.mixing_table(model, rows=2, columns=3, layers=layers, seed=4)
        same = same.reshape(3, 4, 8, 8, 3)[1:, 1:]
        source = table[0, 1:][None] if axis == 0 else table[1:, 0][:, None]
        np.testing.assert_allclose(same, np.broadcast_to(source, same.shape), atol=1e-4)
    mixed = table[1:, 1:]
    assert np.abs(mixed - table[0, 1:][None]).max() > 0.01
    assert np.abs(mixed - table[1:, 0][:, None]).max() > 0.01


def test_only_models_with_styles_can_mix():
    gan = GAN(image_shape=(4, 4, 1), generator_width=4, discriminator_width=4)
    with pytest.raises(ValueError, match="has no styles"):
        latents.mixing_table(gan)
