"""The interface that all latent tools use."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans import latents, models
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.models import GAN, Pix2Pix, ProGAN, StyleGAN2


def test_seeds_are_those_of_the_public_tools(space):
    expected = [np.random.RandomState(i).randn(1, 12)[0] for i in (85, 3)]
    np.testing.assert_allclose(space.z([85, 3]), expected, rtol=1e-6)
    assert abs(space.z([0])[0, 0] - 1.7640523) < 1e-6


def test_truncation_in_w(space, model):
    """psi 0 gives one image, 1 no truncation bit for bit, -1 the reflection about w_avg."""
    z = space.sample_z(500, 0)
    ws, mean = space.ws(z).numpy(), model.generator_ema.w_avg.numpy()
    flat = space.images(space.ws(z[:4], truncation=0.0))
    np.testing.assert_array_equal(space.ws(z, truncation=0.0)[:, 0], np.tile(mean, [500, 1]))
    np.testing.assert_allclose(flat, np.repeat(flat[:1], 4, axis=0), atol=1e-6)
    np.testing.assert_allclose(space.ws(z, truncation=-1.0), 2 * mean - ws, atol=1e-5)
    np.testing.assert_allclose(space.ws(z, truncation=0.5), (mean + ws) / 2, atol=1e-6)
    np.testing.assert_array_equal(space.ws(z, truncation=1.0), ws)
    ratio = np.var(space.ws(z, truncation=0.7), axis=0) / np.var(ws, axis=0)
    np.testing.assert_allclose(ratio, 0.49, rtol=1e-4)
    cut = space.ws(z, truncation=0.5, cutoff=2).numpy()
    np.testing.assert_array_equal(cut[:, 2:], ws[:, 2:])
    np.testing.assert_allclose(cut[:, :2], (mean + ws)[:, :2] / 2, atol=1e-6)


def test_explicit_noise(space, model):
    ws = space.of_seeds([0, 1])
    stored = [c.noise.numpy()[None, ..., None] for c in model.generator_ema.synthesis.convs]
    assert [list(image.shape[1:]) for image in stored] == space.noise_shapes
    assert len(stored) == space.num_ws - 1
    images = space.synthesize(ws, stored).numpy()
    np.testing.assert_array_equal(images, space.synthesize(ws, "const"))
    zero = [0.0 * image for image in stored]
    np.testing.assert_allclose(space.synthesize(ws, zero), space.synthesize(ws, "none"), atol=1e-6)
    for k in range(len(stored)):  # each noise image reaches its own layer
        changed = [image + 10.0 * (j == k) for j, image in enumerate(stored)]
        assert np.abs(space.synthesize(ws, changed) - images).max() > 1e-4


def test_classes_of_seeds():
    model = StyleGAN2(
        image_shape=(4, 4, 1),
        latent_dim=4,
        style_dim=4,
        mapping_layers=1,
        channel_base=16,
        channel_max=4,
        num_classes=3,
    )
    np.testing.assert_array_equal(latents.Space(model).labels([4, 9]), np.eye(3)[[1, 0]])
    fixed = latents.Space(model, label=2)
    np.testing.assert_array_equal(fixed.labels([4, 9]), np.eye(3)[[2, 2]])
    ours = fixed.synthesize(fixed.of_seeds([4]))
    np.testing.assert_allclose(ours, model(fixed.z([4]), label=[2]), atol=1e-6)
    vector = latents.Space(model, label=[1, 0, 1])
    np.testing.assert_array_equal(vector.labels([4, 9]), [[1, 0, 1], [1, 0, 1]])
    ours = vector.synthesize(vector.of_seeds([4]))
    theirs = model(vector.z([4]), label=tf.constant([[1.0, 0.0, 1.0]]))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    with pytest.raises(BadInput, match="no class 3: the model has 3 classes"):
        latents.Space(model, label=3)
    with pytest.raises(BadInput, match="has 3 numbers, not 2"):
        latents.Space(model, label=[1, 0])


def test_other_generators_have_one_layer():
    gan = GAN(image_shape=(4, 4, 1), generator_width=4, discriminator_width=4)
    space = latents.Space(gan)
    z = space.z([0, 1])
    assert not space.gaussian and np.abs(z).max() <= 3**0.5
    assert space.num_ws == 1 and space.noise_shapes == []
    np.testing.assert_array_equal(space.ws(z)[:, 0], z)
    np.testing.assert_array_equal(space.synthesize(space.ws(z)), gan(z))
    progan = ProGAN(image_shape=(8, 8, 3), latent_dim=8, channel_base=64, channel_max=8)
    assert latents.Space(progan).gaussian


def test_models_without_latents_are_refused():
    with pytest.raises(BadInput, match="Pix2Pix does not make images from latents"):
        latents.Space(Pix2Pix(image_shape=(16, 16, 3), width=4, patch_layers=1))
    for name, message in (("stackgan", "needs a condition.*sample"), ("vgan", "makes a video")):
        with pytest.raises(BadInput, match=message):
            latents.Space(models.get(name)(**Config.load(name, "tiny").model))
