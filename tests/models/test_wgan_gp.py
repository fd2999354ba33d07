"""WGAN-GP: the penalty on critics whose gradients are known, the game, the networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from differences import assert_derivative

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.wgan_gp import WGANGP, relu


def small(**settings):
    return WGANGP(image_shape=(8, 8, 1), latent_dim=4, width=4, **settings)


def penalty(critic, real, fake):
    model = small()
    model.discriminator = lambda image, training: critic(image)
    with random.scope(0):
        return 10.0 * float(model.gradient_penalty(tf.constant(real), tf.constant(fake)))


@pytest.mark.parametrize("norm, expected", [(5.0, 160.0), (0.5, 2.5), (1.0, 0.0)])
def test_penalty_of_a_linear_critic(norm, expected):
    """10 (|w| - 1)^2 for any data: two-sided."""
    w = np.random.randn(8, 8, 1).astype("float32")
    w *= norm / np.linalg.norm(w)
    images = np.random.randn(2, 16, 8, 8, 1).astype("float32")
    found = penalty(lambda x: tf.reduce_sum(x * w, [1, 2, 3]), *images)
    assert found == pytest.approx(expected, abs=1e-3)


def test_the_loss_weighs_the_penalty():
    """penalty_weight (|w| - 1)^2, added: 3 (5 - 1)^2."""
    model = small(penalty_weight=3.0)
    w = np.random.randn(8, 8, 1).astype("float32")
    w *= 5.0 / np.linalg.norm(w)
    model.discriminator = lambda image, training: tf.reduce_sum(image * w, [1, 2, 3])
    with random.scope(0):
        terms = model.discriminator_loss(tf.random.normal([4, 8, 8, 1]))
    assert float(terms["penalty"]) == pytest.approx(48.0, abs=1e-3)


def test_interpolation_is_uniform_and_each_sample_has_its_own():
    """D = |x|^2 / 2 on the line from 0 to 3e: E (3a - 1)^2 = 1 for a ~ U(0, 1)."""
    real = np.zeros([4096, 2, 2, 1], "float32")
    fake = real.copy()
    fake[:, 0, 0] = 3.0
    points = []

    def critic(x):
        points.append(x.numpy()[:, 0, 0, 0] / 3.0)
        return tf.reduce_sum(x**2, [1, 2, 3]) / 2

    assert penalty(critic, real, fake) == pytest.approx(10.0, abs=1.0)
    assert penalty(critic, fake, real) == pytest.approx(10.0, abs=1.0)
    weights = points[0]
    assert 0 <= weights.min() and weights.max() <= 1 and len(np.unique(weights)) > 4000
    histogram = np.histogram(weights, 8, (0, 1))[0] / 512
    assert np.abs(histogram - 1).max() < 0.2


def test_critic_scores_each_image_by_itself():
    """A critic with batch normalization would fail: eq. 3 penalizes each input alone."""
    model = small()
    images = tf.random.normal([3, 8, 8, 1])
    with tf.GradientTape() as tape:
        tape.watch(images)
        score = model.discriminator(images, training=True)[1, 0]
    gradient = tape.gradient(score, images).numpy()
    assert np.all(gradient[0] == 0) and np.all(gradient[2] == 0) and np.any(gradient[1] != 0)


def test_penalty_trains_the_critic():
    """Its gradient is a second derivative: compare with finite differences."""
    model = small()
    real, fake = tf.random.normal([2, 4, 8, 8, 1])
    kernel = model.discriminator.trainable_variables[0]

    def value():
        with random.scope(0):
            return model.gradient_penalty(real, fake)

    assert_derivative(value, kernel, 1e-2)


def test_five_critic_moves_on_five_batches_then_one_of_the_generator():
    model = small()
    model.compile()
    moves = []

    def recorded(player, loss, *args, n=None):
        moves.append((player, args[0] if n is None else n))
        return {}

    model.update = recorded
    data = {"image": tf.random.uniform([20, 8, 8, 1], -1, 1)}
    with random.scope(0):
        model.train_step(data)
    assert [player for player, _ in moves] == ["discriminator"] * 5 + ["generator"]
    batches = [batch.numpy() for _, batch in moves[:5]]
    assert moves[5][1] == 8  # twice a critic's batch of 4
    for k, batch in enumerate(batches):
        expected = data["image"].numpy()[k::5]
        noise = batch - ((expected + 1) * 127.5 / 128 - 1)
        assert noise.min() >= -1e-6 and noise.max() <= 1 / 128 + 1e-6 and noise.std() > 1e-3
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(batches[0], batches[1], atol=0.1)


def test_learning_rates_end_together():
    optimizers = WGANGP(image_shape=(8, 8, 1), width=4).default_optimizers()
    critic, generator = optimizers["discriminator"], optimizers["generator"]
    for step in (0, 50_000, 100_000):
        rate = 2e-4 * (1 - step / 100_000)
        assert float(generator._learning_rate(step)) == pytest.approx(rate, abs=1e-9)
        assert float(critic._learning_rate(5 * step)) == pytest.approx(rate, abs=1e-9)
    assert (critic.beta_1, critic.beta_2) == (0.0, 0.9)


def test_networks_of_the_paper():
    """Parameters of the CIFAR-10 networks, counted by hand: 128 channels everywhere."""
    model = WGANGP()
    conv, one = 9 * 128 * 128 + 128, 128 * 128 + 128
    norm = 2 * 128
    up = 2 * conv + one + 2 * norm
    generator = (128 * 2048 + 2048) + 3 * up + norm + (9 * 128 * 3 + 3)
    trainable = sum(int(np.prod(w.shape)) for w in model.generator.trainable_variables)
    assert trainable == generator
    first = (9 * 3 * 128 + 128) + conv + (3 * 128 + 128)
    critic = first + (2 * conv + one) + 2 * (2 * conv) + 129
    assert model.discriminator.count_params() == critic
    kinds = {type(layer) for layer in model.discriminator.layers}
    assert keras.layers.BatchNormalization not in kinds


def test_other_normalizations():
    """Layer normalization: each image by itself, over all its numbers, a gain for each channel."""
    x = 3.0 * tf.random.normal([4, 5, 6, 2]) + tf.reshape([0.0, 1.0, 2.0, 3.0], [4, 1, 1, 1])
    image = keras.Input([5, 6, 2])
    layer = keras.Model(image, relu(image, "layer"))
    assert [tuple(w.shape) for w in layer.weights] == [(2,), (2,)]
    own = x.numpy()
    mean, deviation = own.mean(axis=(1, 2, 3)), own.std(axis=(1, 2, 3))
    normal = (own - mean[:, None, None, None]) / deviation[:, None, None, None]
    np.testing.assert_allclose(layer(x), np.maximum(normal, 0.0), atol=1e-4)


@pytest.mark.parametrize("generator_norm, critic_norm", [("layer", "none"), ("none", "layer")])
def test_networks_with_other_normalizations_train(generator_norm, critic_norm):
    model = WGANGP(
        (8, 8, 1), 4, 4, n_critic=1, generator_norm=generator_norm, critic_norm=critic_norm
    )
    for network, norm in ((model.generator, generator_norm), (model.discriminator, critic_norm)):
        kinds = [type(layer).__name__ for layer in network.layers]
        assert ("GroupNormalization" in kinds) == (norm == "layer")
        assert "BatchNormalization" not in kinds
    model.compile(run_eagerly=True)
    logs = model.train_on_batch(tf.random.normal([4, 8, 8, 1]))
    assert all(np.isfinite(value) for value in logs.values())


def test_unknown_normalizations_are_refused():
    with pytest.raises(BadInput, match="layer"):
        WGANGP((8, 8, 1), 4, 4, generator_norm="layers")
    with pytest.raises(BadInput, match="Known: layer, none"):
        WGANGP((8, 8, 1), 4, 4, critic_norm="batch")
