"""Known mistakes with gradient penalties and n_critic are errors, also in a user's own model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.wgan_gp import WGANGP
from tfgans.penalties import between, gradient_norm, input_gradient


def small(**settings):
    return WGANGP((8, 8, 1), latent_dim=4, width=4, n_critic=2, **settings)


def fit(model, steps=1):
    model.compile()
    images = tf.data.Dataset.from_tensors({"image": tf.zeros([8, 8, 8, 1])}).repeat()
    model.fit(images, steps_per_epoch=steps, verbose=0)


def test_gradient_of_each_image():
    """d |x|^4 / 4 = |x|^2 x."""
    x = tf.random.normal([3, 2, 2, 1])
    square = tf.reduce_sum(x**2, [1, 2, 3], keepdims=True)
    found = input_gradient(lambda x: tf.reduce_sum(x**2, [1, 2, 3]) ** 2 / 4, x, [])
    np.testing.assert_allclose(found, square * x, rtol=1e-5)


def test_norm_of_a_gradient_and_its_own_gradient_at_0():
    """The root alone has the slope 0 / 0 there, and a critic that is constant would become NaN."""
    x = tf.Variable([[[[3.0, 4.0]]], [[[0.0, 0.0]]]])
    with tf.GradientTape() as tape:
        norm = gradient_norm(x)
    np.testing.assert_allclose(norm, [5.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(tape.gradient(norm, x), [[[[0.6, 0.8]]], [[[0.0, 0.0]]]], rtol=1e-6)
    np.testing.assert_allclose(gradient_norm(tf.constant(x), axis=3)[0], [[5.0]])


def test_points_between():
    real, fake = tf.zeros([2, 1, 1, 1]), 4.0 * tf.ones([2, 1, 1, 1])
    point = between(real, fake, tf.reshape([0.0, 0.25], [2, 1, 1, 1]))
    np.testing.assert_array_equal(np.ravel(point), [0, 1])


def test_batch_normalization_in_a_critic():
    model = small()
    image = keras.Input([8, 8, 1])
    x = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])(image)
    score = keras.layers.Dense(1)(keras.layers.Flatten()(x))
    model.discriminator = keras.Model(image, score, name="critic")
    with pytest.raises(BadInput, match="critic has batch normalization.*LayerNormalization"):
        fit(model)


class OneWeight(WGANGP):
    def gradient_penalty(self, real, fake):
        return tf.reduce_mean(between(real, fake, random.uniform([1, 1, 1, 1])))


class NormalWeights(WGANGP):
    def gradient_penalty(self, real, fake):
        return tf.reduce_mean(between(real, fake, random.normal([real.shape[0], 1, 1, 1])))


class OneBatch(WGANGP):
    def train_step(self, data):
        for _ in range(self.n_critic):
            d = self.update("discriminator", self.discriminator_loss, data["image"])
        return d


@pytest.mark.parametrize(
    "mistaken, error, message",
    [
        (OneWeight, BadInput, r"shape \(4, 1, 1, 1\), not \(1, 1, 1, 1\)"),
        (NormalWeights, tf.errors.InvalidArgumentError, "draw them with random.uniform"),
        (OneBatch, BadInput, "2 batches as one.*self.split"),
    ],
)
def test_mistakes_in_a_users_model(mistaken, error, message):
    model = mistaken((8, 8, 1), latent_dim=4, width=4, n_critic=2)
    with pytest.raises(error, match=message):
        fit(model, steps=3)


def test_the_right_model_trains():
    fit(small())
