"""Image2StyleGAN: W+ and the three uses."""

import numpy as np

from tfgans import latents


def identity(images):
    return [images]


def test_every_layer_gets_its_own_w(linear_space):
    """W+ reaches an image that no common w reaches."""
    rng = np.random.RandomState(0)
    a, own = rng.randn(3, 16, 4), rng.randn(3, 4)
    space = linear_space(a, [4, 4, 3], parts=True)
    target = np.einsum("kpd,kd->kp", a, own).reshape(1, 4, 4, 3)
    search = latents.Image2StyleGAN(space, target, identity, steps=2000).run(every=2000)
    ws = search.ws.numpy()[0]
    assert search.history[-1][2][0] < 1e-4
    np.testing.assert_allclose(ws, own, atol=0.02)
    assert ws.std(axis=0).min() > 0.1
    common = latents.Projector(space, target, identity, steps=500).run(every=500)
    residual = np.linalg.lstsq(a.reshape(48, 4), target.reshape(48), rcond=None)[1]
    np.testing.assert_allclose(common.history[-1][2], residual, rtol=1e-4)
    assert residual > 1


def test_it_starts_at_the_mean_with_the_settings_of_the_paper(space):
    search = latents.Image2StyleGAN(space, np.zeros([2, 16, 16, 3]))
    mean = np.mean(space.w(space.sample_z(10_000, 123)), axis=0)
    np.testing.assert_allclose(search.ws, np.tile(mean, [2, space.num_ws, 1]), atol=1e-5)
    settings = search.optimizer.get_config()
    assert search.steps == 5000 and search.noise == "const"
    np.testing.assert_allclose(
        [settings[k] for k in ("learning_rate", "beta_1", "beta_2", "epsilon")],
        [0.01, 0.9, 0.999, 1e-8],
    )


def test_it_comes_nearer_than_one_w_can(space):
    """An image of mixed styles."""
    a, b = space.of_seeds([0, 1]).numpy()
    image = space.images(latents.mix(a, b, [3, 4, 5])[None])
    plus = latents.Image2StyleGAN(space, image, steps=400).run(every=400)
    first, last = (entry[2][0] for entry in (plus.history[0], plus.history[-1]))
    assert last < 0.05 * first
    # The perceptual distance alone is kept in the history; pixels are in the loss as well.
    assert np.mean((space.images(plus.ws) - image) ** 2) < 0.05 * np.var(image)


def test_uses():
    a, b, c = np.random.RandomState(0).randn(3, 18, 8).astype("float32")
    np.testing.assert_array_equal(latents.morph(a, b, 0.0), a)
    np.testing.assert_array_equal(latents.morph(a, b, 1.0), b)
    np.testing.assert_allclose(latents.morph(a, b, 0.25), 0.75 * a + 0.25 * b, rtol=1e-6)
    styled = latents.transfer_style(a, b)
    np.testing.assert_array_equal(styled[:9], a[:9])
    np.testing.assert_array_equal(styled[9:], b[9:])
    np.testing.assert_array_equal(latents.transfer_expression(a, b, b, 0.7), a)
    np.testing.assert_allclose(
        latents.transfer_expression(a, b, c, 0.5), a + 0.5 * (c - b), rtol=1e-5
    )
