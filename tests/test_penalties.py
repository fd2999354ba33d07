"""Known mistakes with gradient penalties and n_critic are errors, also in a user's own model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.wgan_gp import WGANGP
from tfgans.penalties import between, gradient_norm, input_gradient, spectral_energy


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
        (NormalWeights, BadInput, "draw them with random.uniform"),
        (OneBatch, BadInput, "2 batches as one.*self.split"),
    ],
)
def test_mistakes_in_a_users_model(mistaken, error, message):
    model = mistaken((8, 8, 1), latent_dim=4, width=4, n_critic=2)
    with pytest.raises(error, match=message):
        fit(model, steps=3)


def test_the_right_model_trains():
    fit(small())


def test_spectral_energy_and_its_slope():
    """lambda / 2 sigma^2 of a random 6x4 matrix: its slope is lambda sigma v u^T; W is not divided.

    `numpy.linalg.svd` gives sigma and the vectors, and finite differences the slope.
    """
    w = keras.Variable(np.random.RandomState(0).randn(6, 4).astype("float32"))
    vector = keras.Variable(np.ones([4, 1], "float32"), trainable=False)
    before = w.numpy()
    for _ in range(200):
        spectral_energy([w], [vector])
    with tf.GradientTape() as tape:
        energy = spectral_energy([w], [vector], weight=0.01)
    slope = tape.gradient(energy, w.value).numpy()
    left, values, right = np.linalg.svd(before.astype("float64"))
    assert float(energy) == pytest.approx(0.005 * values[0] ** 2, rel=1e-5)
    np.testing.assert_allclose(slope, 0.01 * values[0] * np.outer(left[:, 0], right[0]), atol=1e-6)

    def energy_of(matrix):
        return 0.005 * np.linalg.svd(matrix)[1][0] ** 2

    for i, j in ((0, 0), (2, 3), (5, 1)):
        step = np.zeros([6, 4])
        step[i, j] = 1e-5
        difference = energy_of(before + step) - energy_of(before - step)
        assert slope[i, j] == pytest.approx(difference / 2e-5, abs=1e-6)
    np.testing.assert_array_equal(w.numpy(), before)


def test_spectral_energy_sums_over_layers_and_takes_one_step_each_time():
    """Convolutions count as matrices [inputs, outputs]; their vectors move, weights do not."""
    kernels = [keras.Variable(np.random.randn(*shape)) for shape in ([3, 3, 2, 4], [5, 2])]
    vectors = [keras.Variable(np.ones([k.shape[-1], 1])) for k in kernels]
    both = float(spectral_energy(kernels, vectors, weight=2.0))
    expected = 0.0
    for kernel, vector in zip(kernels, vectors, strict=True):
        w = kernel.numpy().reshape(-1, kernel.shape[-1])
        v = w @ np.ones([w.shape[1], 1])
        v /= np.linalg.norm(v)
        u = w.T @ v / np.linalg.norm(w.T @ v)
        expected += np.sum(v * (w @ u)) ** 2
        np.testing.assert_allclose(vector, u, atol=1e-6)
    assert both == pytest.approx(expected, rel=1e-5)
