"""A small StyleGAN2, and a generator with a known linear synthesis."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import latents
from tfgans.models import DCGAN, BigGAN, StyleGAN, StyleGAN2


def small_stylegan2(side):
    """A StyleGAN2 with visible noise, a w_avg that is not 0, and z and w of different lengths."""
    keras.utils.set_random_seed(0)
    model = StyleGAN2(
        image_shape=(side, side, 3),
        latent_dim=12,
        style_dim=10,
        mapping_layers=2,
        channel_base=128,
        channel_max=16,
    )
    for layer in model.generator_ema.synthesis.convs:
        layer.noise_strength.assign(0.005)
    model.generator_ema.w_avg.assign(0.3 * np.random.RandomState(0).randn(10))
    return model


@pytest.fixture(scope="package")
def model():
    """16x16, 6 layers."""
    return small_stylegan2(16)


@pytest.fixture(scope="package")
def space(model):
    return latents.Space(model)


@pytest.fixture(scope="package")
def small():
    """8x8, 4 layers, for searches: they are slow to compile."""
    return latents.Space(small_stylegan2(8))


class LinearSpace:
    """Image = sum over layers of A_k w_k, or one part of the image per layer; w = z.

    Args:
        matrices: [num_ws, pixels, D].
        image_shape: Shape of an image.
        parts: True if each layer makes its own part of the image.
    """

    label, noise_shapes = None, []

    def __init__(self, matrices, image_shape, parts=False):
        self.matrices = tf.constant(matrices, "float32")
        self.image_shape, self.parts = image_shape, parts
        self.num_ws = len(matrices)
        self.model = types.SimpleNamespace(latent_dim=matrices.shape[2])

    def sample_z(self, n, seed):
        return np.random.RandomState(seed).randn(n, self.model.latent_dim).astype("float32")

    def labels(self, seeds):
        return None

    def w(self, z, label=None):
        return tf.convert_to_tensor(z)

    def synthesize(self, ws, noise=None):
        effects = tf.einsum("kpd,nkd->nkp", self.matrices, ws)
        if not self.parts:
            effects = tf.reduce_sum(effects, axis=1)
        return tf.reshape(effects, [-1, *self.image_shape])


@pytest.fixture
def linear_space():
    return LinearSpace


def build(name):
    if name == "dcgan":
        return DCGAN(image_shape=(8, 8, 3), latent_dim=6, width=4)
    if name == "biggan":
        return BigGAN(
            image_shape=(16, 16, 1),
            num_classes=3,
            latent_dim=6,
            embedding_dim=4,
            generator_channels=(8, 8, 8),
            discriminator_channels=(4, 8, 8),
            discriminator_downs=2,
            generator_attention=8,
            discriminator_attention=8,
        )
    sizes = {"mapping_layers": 2, "channel_base": 64, "channel_max": 8}
    return StyleGAN(image_shape=(8, 8, 1), latent_dim=6, style_dim=5, **sizes)


@pytest.fixture
def model_of():
    """Name -> a small model: dcgan, biggan or stylegan."""
    return build
