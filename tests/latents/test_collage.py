"""Collages: one class or one latent everywhere is the plain image; far from a seam as well."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import latents
from tfgans.errors import BadInput
from tfgans.latents import collage
from tfgans.layers.conditional_norm import Conditioned, mixed_over
from tfgans.models import SAGAN, BigGAN, SelfMod


def models():
    common = {"image_shape": (16, 16, 1), "num_classes": 3, "generator_channels": (8, 8, 8)}
    yield SAGAN(**common, latent_dim=4, discriminator_channels=(4, 8, 8), attention=8)
    yield BigGAN(
        **common,
        latent_dim=6,
        embedding_dim=4,
        discriminator_channels=(4, 8, 8),
        discriminator_downs=2,
        generator_attention=8,
        discriminator_attention=8,
    )


@pytest.fixture(params=[0, pytest.param(1, marks=pytest.mark.thorough)], ids=["sagan", "biggan"])
def model(request):
    keras.utils.set_random_seed(0)
    model = list(models())[request.param]
    for w in model.sampling_generator.weights:  # classes, gains and statistics that can be seen
        if w.name in ("gamma", "beta", "moving_mean", "gain", "kernel"):
            w.assign(w + 0.3 * tf.random.normal(w.shape))
    return model


def one_hot_map(k, count, side=16):
    weights = np.zeros([side, side, count])
    weights[..., k] = 1.0
    return weights


def halves(side=16):
    weights = np.zeros([side, side, 2])
    weights[:, : side // 2, 0] = weights[:, side // 2 :, 1] = 1.0
    return weights


def test_one_class_everywhere_is_the_plain_image(model):
    space, z = latents.Space(model, label=0), tf.random.normal([2, model.latent_dim])
    plain = [model(z, tf.fill([2], k)).numpy() for k in (2, 0)]
    assert np.abs(plain[0] - plain[1]).max() > 0.05
    for k in range(2):
        made = collage.translate_classes(space, z, [2, 0], one_hot_map(k, 2))
        np.testing.assert_allclose(made, plain[k], atol=1e-6)
    mixture = collage.translate_classes(space, z, [2, 0], halves())
    assert min(np.abs(mixture - image).max() for image in plain) > 0.01


def test_the_first_norm_is_that_of_each_class_on_its_side(model):
    network = model.sampling_generator
    norm = next(layer for layer in network.layers if isinstance(layer, Conditioned))
    first = keras.Model(network.inputs, norm.output)
    z = tf.repeat(tf.random.normal([1, model.latent_dim]), 2, axis=0)
    label = tf.one_hot([2, 0], 3)
    plain = first([z, label]).numpy()
    with mixed_over(halves()):
        made = first([z, label]).numpy()
    np.testing.assert_allclose(made[:, :, :2], plain[[0, 0], :, :2], atol=1e-6)
    np.testing.assert_allclose(made[:, :, 2:], plain[[1, 1], :, 2:], atol=1e-6)


def test_one_latent_everywhere_is_its_image(model):
    space, z = latents.Space(model, label=1), tf.random.normal([3, model.latent_dim])
    plain = model(z, tf.fill([3], 1)).numpy()
    for k in range(3):
        np.testing.assert_allclose(collage.blend(space, z, one_hot_map(k, 3)), plain[k], atol=1e-5)
    same = tf.repeat(z[:1], 2, axis=0)
    np.testing.assert_allclose(collage.blend(space, same, halves()), plain[0], atol=1e-5)
    both = collage.blend(space, z[:2], halves()).numpy()
    assert min(np.abs(both - plain[k]).max() for k in (0, 1)) > 0.01
    np.testing.assert_array_equal(model(z, tf.fill([3], 1)), plain)  # the model is as it was


def test_class_translation_without_a_class_is_refused():
    model = SelfMod(image_shape=(8, 8, 1), latent_dim=4, generator_channels=(4, 4),
                    discriminator_channels=(4, 4), discriminator_downs=1)  # fmt: skip
    space, z = latents.Space(model), tf.random.normal([2, 4])
    with pytest.raises(BadInput, match="SelfMod has no normalization"):
        collage.translate_classes(space, z, [0, 1], halves(8))


def test_weights_that_do_not_fit(model):
    space, z = latents.Space(model, label=1), tf.random.normal([2, model.latent_dim])
    with pytest.raises(BadInput, match=r"Wanted weights \[H, W, 2\]"):
        collage.blend(space, z, one_hot_map(0, 3))
    with pytest.raises(BadInput, match="the sum 1 at each pixel"):
        collage.blend(space, z, 2.0 * halves())


@pytest.mark.thorough
def test_a_tool_writes_a_collage(model, run, tmp_path):
    model.save(tmp_path / "m.keras")
    for words in (["classes", "--classes", "0", "2"], ["blend", "--seeds", "3", "4"]):
        run("collage", "m.keras", *words, "--label", "1")
        assert (tmp_path / f"samples/m-{words[0]}.png").exists()
