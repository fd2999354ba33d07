"""An export computes once what depends on weights alone, and gets the results of the layers."""

import exported
import numpy as np
import pytest
import tensorflow as tf

from tfgans.layers.resampled_conv import UpConv2D
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.progan import ProGAN
from tfgans.models.stylegan2 import StyleGAN2
from tfgans.ops.exporting import exporting, prepared

MODELS = {
    "stylegan2": (StyleGAN2, {"style_dim": 8, "recompute_from": 8}),
    "stylegan2-resnet": (StyleGAN2, {"style_dim": 8, "generator_architecture": "resnet"}),
    "progan": (ProGAN, {}),
}


def build(name):
    kind, settings = MODELS[name]
    size = {"image_shape": (16, 16, 3), "latent_dim": 8, "channel_base": 128, "channel_max": 8}
    return kind(**size, **settings)


def of(name):
    """One StyleGAN2 is part of `make test`, the other of `make test-rest`."""
    return pytest.param(name, marks=[pytest.mark.thorough] * (name == "stylegan2-resnet"))


@pytest.mark.parametrize("within", [pytest.param(False, marks=pytest.mark.thorough), True])
@pytest.mark.parametrize("name", [of(name) for name in MODELS])
def test_an_export_gives_the_same_images_and_stores_nothing_twice(
    name, within, two_replicas, tmp_path
):
    with two_replicas.scope():
        model = build(name)
        if within:
            model.export(tmp_path)
    if not within:
        model.export(tmp_path)
    loaded = tf.saved_model.load(str(tmp_path))
    z = tf.random.normal([2, 8])
    given = {"z": z} | ({"truncation": tf.ones([2])} if name.startswith("style") else {})
    found = loaded.signatures["serving_default"](**given)["image"]
    np.testing.assert_allclose(found, model(**given), atol=1e-5)
    assert exported.stored(tmp_path) == exported.served(model.sampling_generator)


def test_a_normalized_kernel_is_exported_and_not_the_stored_one():
    layer = SpectralNorm(UpConv2D(4, 3, padding="same"))
    x = tf.random.normal([2, 5, 5, 3])
    wanted = layer(x)
    with exporting():
        np.testing.assert_allclose(layer(x), wanted, atol=1e-6)
        plain = layer.layer(x)
    assert np.abs(plain - wanted).max() > 1e-2  # the stored kernel


def test_only_an_export_prepares_tensors():
    model = build("stylegan2")
    kernel, calls = model.generator.synthesis.convs[0].kernel, []

    def doubled(weight, times):
        calls.append(times)
        return weight * times

    for _ in range(2):
        before = prepared(doubled, kernel, 2.0)
        np.testing.assert_array_equal(before, 2.0 * kernel.numpy())
        kernel.assign(kernel + 1.0)
    np.testing.assert_array_equal(prepared(doubled, tf.ones([2]), 3.0), [3.0, 3.0])
    assert calls == [2.0, 2.0, 3.0]
    with exporting():
        for times in (2.0, 2.0, 4.0):
            np.testing.assert_array_equal(prepared(doubled, kernel, times), times * kernel.numpy())
    assert calls == [2.0, 2.0, 3.0, 2.0, 4.0]
