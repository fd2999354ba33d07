"""GAN: its losses at the optimum, its maxout, its schedule."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.dropout import Dropout
from tfgans.models.gan import GAN
from tfgans.optimizers import RisingMomentumSGD

CONTRACT = {"games": [{}, {"saturating": True}]}


def small(**settings):
    return GAN(
        image_shape=(4, 4, 1), latent_dim=4, generator_width=8, discriminator_width=4, **settings
    )


class Affine(keras.layers.Layer):
    """D(x) = a x + b on numbers."""

    def build(self, shape):
        self.a, self.b = self.add_weight(initializer="zeros"), self.add_weight(initializer="zeros")

    def call(self, x, training=False):
        return self.a * x + self.b


def test_optimal_discriminator_of_two_gaussians():
    """D* = p / (p + q): the score is 0.5 - x, the summed loss log 4 - 2 JSD = 1.1635."""
    model = small()
    keys = np.random.RandomState(0)
    real = tf.constant(keys.randn(4096, 1), "float32")
    fake = tf.constant(keys.randn(4096, 1) + 1.0, "float32")
    model.discriminator = Affine()
    model.discriminator.build(None)
    model.generator = lambda z, training: fake
    optimizer = model.optimizers["discriminator"] = keras.optimizers.SGD(1.0)
    optimizer.build(model.weights_of("discriminator"))

    @tf.function(autograph=False)
    def step():
        with random.scope(0):
            return model.update("discriminator", model.discriminator_loss, real)

    for _ in range(300):
        logs = step()
    assert float(model.discriminator.a.numpy()) == pytest.approx(-1.0, abs=0.1)
    assert float(model.discriminator.b.numpy()) == pytest.approx(0.5, abs=0.1)
    halves = float(logs["discriminator/real"] + logs["discriminator/fake"])
    assert 2 * halves == pytest.approx(1.1635, abs=0.03)


@pytest.mark.parametrize("saturating, slope", [(False, -0.98201), (True, -0.01799)])
def test_gradient_of_a_rejected_fake(saturating, slope):
    """At a score of -4 the non-saturating loss still pulls, the saturating one hardly."""
    model = small(saturating=saturating)
    score = tf.Variable(tf.fill([8, 1], -4.0))
    model.discriminator = lambda image, training: score.value()
    with tf.GradientTape() as tape, random.scope(0):
        loss = model.generator_loss(8)["fake"]
    np.testing.assert_allclose(tape.gradient(loss, score) * 8, slope, atol=1e-4)


def test_losses_at_the_start():
    """An undecided D gives 2 log 2 in all, and log 2 or -log 2 to G."""
    for saturating, g in ((False, 0.693147), (True, -0.693147)):
        model = small(saturating=saturating)
        model.discriminator = lambda image, training: tf.zeros([len(image), 1])
        with random.scope(0):
            d = model.discriminator_loss(tf.zeros([8, 4, 4, 1]))
            assert float(model.generator_loss(8)["fake"]) == pytest.approx(g, abs=1e-6)
        assert 2 * float(d["real"] + d["fake"]) == pytest.approx(1.386294, abs=1e-6)


def test_networks_of_the_paper():
    model = GAN()
    shapes = [tuple(w.shape) for w in model.generator.weights]
    assert shapes == [(100, 1200), (1200,), (1200, 1200), (1200,), (1200, 784), (784,)]
    shapes = [tuple(w.shape) for w in model.discriminator.weights]
    assert shapes == [(784, 1200), (1200,), (240, 1200), (1200,), (240, 1), (1,)]
    for network, spread in ((model.generator, 0.05), (model.discriminator, 0.005)):
        for w in network.weights:
            if len(w.shape) == 2:
                values = w.numpy()
                assert np.abs(values).max() <= spread
                assert values.std() == pytest.approx(spread / 3**0.5, rel=0.1)
    with random.scope(0):
        z = model.latents(4096).numpy()
    assert np.abs(z).max() <= 3**0.5 and z.std() == pytest.approx(1.0, abs=0.01)
    gray = model.generator(np.zeros([1, 100], "float32")).numpy()
    np.testing.assert_allclose((gray + 1) / 2, 0.1307, atol=1e-5)


def test_dropout_also_acts_in_the_generators_move():
    model = small()
    model.generator = lambda z, training: tf.ones([len(z), 4, 4, 1])
    for w in model.discriminator.weights:
        w.assign(tf.random.normal(w.shape))
    scores = []
    discriminator = model.discriminator

    def recorded(image, training):
        scores.append(discriminator(image, training=training))
        return scores[-1]

    model.discriminator = recorded
    with random.scope(0):
        model.generator_loss(64)
    assert np.std(scores[0]) > 0.01  # equal images, different masks


def test_schedules():
    """Rate 0.1 / 1.000004^t, momentum 0.5 to 0.7 over 250 epochs."""
    model = small(epoch_steps=2)
    optimizer = model.default_optimizers()["generator"]
    assert float(optimizer._learning_rate(0)) == pytest.approx(0.1)
    assert float(optimizer._learning_rate(10**6)) == pytest.approx(0.1 * np.exp(-4), rel=1e-3)
    w = keras.Variable([1.0])
    steady = RisingMomentumSGD(0.1, 0.5, 0.7, rise_steps=4)
    expected, velocity = 1.0, 0.0
    for t in range(6):
        steady.apply([tf.constant([2.0])], [w])
        velocity = (0.5 + 0.2 * min(t / 4, 1)) * velocity - 0.1 * 2.0
        expected += velocity
        assert float(w.numpy()[0]) == pytest.approx(expected, rel=1e-5)


def test_a_mean_pixel_lies_between_black_and_white():
    for mean in (0.0, 1.0):
        with pytest.raises(BadInput, match=f"above 0 and below 1, not {mean}"):
            small(mean_pixel=mean)


def test_the_discriminator_sees_pixels_from_0_to_1_and_keeps_eight_of_ten():
    network = small().discriminator
    dropped = [layer for layer in network.layers if isinstance(layer, Dropout)]
    assert [layer.rate for layer in dropped] == [0.2, 0.5, 0.5]
    image = tf.random.uniform([512, 4, 4, 1], -1, 1)
    pixels = keras.Model(network.input, dropped[0].output)
    seen = tf.reshape(0.5 * image + 0.5, [512, 16])
    np.testing.assert_allclose(pixels(image, training=False), seen, atol=1e-6)
    with random.scope(0):
        kept = pixels(image, training=True).numpy()
    assert np.mean(kept > 0) == pytest.approx(0.8, abs=0.02)
