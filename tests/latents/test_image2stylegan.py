"""Image2StyleGAN: W+ and its three uses."""

import keras
import numpy as np
import pytest

from tfgans import latents
from tfgans.errors import BadInput
from tfgans.latents.image2stylegan import vgg_features


def identity(images):
    return [images]


@pytest.mark.thorough
def test_every_layer_gets_its_own_w(linear_space):
    """W+ reaches an image that no common w reaches."""
    rng = np.random.RandomState(0)
    a, own = rng.randn(3, 16, 4), rng.randn(3, 4)
    space = linear_space(a, [4, 4, 3], parts=True)
    target = np.einsum("kpd,kd->kp", a, own).reshape(1, 4, 4, 3)
    search = latents.Image2StyleGAN(space, target, identity, steps=1200).run(every=1200)
    ws = search.ws.numpy()[0]
    assert search.history[-1][2][0] < 1e-4
    np.testing.assert_allclose(ws, own, atol=0.02)
    assert ws.std(axis=0).min() > 0.1
    common = latents.Projector(space, target, identity, steps=500).run(every=500)
    residual = np.linalg.lstsq(a.reshape(48, 4), target.reshape(48), rcond=None)[1]
    np.testing.assert_allclose(common.history[-1][2], residual, rtol=1e-4)
    assert residual > 1


def test_it_starts_at_the_mean_with_the_settings_of_the_paper(small):
    search = latents.Image2StyleGAN(small, np.zeros([2, 8, 8, 3]))
    mean = np.mean(small.w(small.sample_z(10_000, 123)), axis=0)
    np.testing.assert_allclose(search.ws, np.tile(mean, [2, small.num_ws, 1]), atol=1e-5)
    settings = search.optimizer.get_config()
    assert search.steps == 5000 and search.noise == "const"
    np.testing.assert_allclose(
        [settings[k] for k in ("learning_rate", "beta_1", "beta_2", "epsilon")],
        [0.01, 0.9, 0.999, 1e-8],
    )


def test_it_finds_an_image_of_mixed_styles(small):
    a, b = small.of_seeds([0, 1]).numpy()
    image = small.images(latents.mix(a, b, [2, 3])[None])
    plus = latents.Image2StyleGAN(small, image, steps=400).run(every=400)
    first, last = (entry[2][0] for entry in (plus.history[0], plus.history[-1]))
    assert last < 0.05 * first
    # The history holds the perceptual distance alone; the loss adds the pixels.
    assert np.mean((small.images(plus.ws) - image) ** 2) < 0.05 * np.var(image)


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


def test_vgg_features(tmp_path):
    """The four layers of the paper after the rectifier, for images in [-1, 1]."""
    network = keras.applications.VGG16(include_top=False, weights=None)
    network.save_weights(tmp_path / "notop.weights.h5")
    images = np.random.RandomState(0).uniform(-1, 1, [1, 16, 16, 3]).astype("float32")
    features = vgg_features(tmp_path / "notop.weights.h5")
    found = features(images)
    assert [x.shape[1:] for x in found] == [(16, 16, 64), (16, 16, 64), (4, 4, 256), (2, 2, 512)]
    assert all(np.min(x) == 0 for x in found)
    # The input of the original network: blue, green, red, minus the mean of ImageNet.
    pixels = (images[..., ::-1] + 1) * 127.5 - [103.939, 116.779, 123.68]
    first = network.get_layer("block1_conv1")
    np.testing.assert_allclose(found[0], first(pixels.astype("float32")), rtol=1e-3, atol=1e-3)
    gray = np.repeat(images[..., :1], 3, axis=-1)
    np.testing.assert_array_equal(features(images[..., :1])[3], features(gray)[3])
    with pytest.raises(BadInput, match="There is no file absent.h5. Wanted: VGG16"):
        vgg_features("absent.h5")
