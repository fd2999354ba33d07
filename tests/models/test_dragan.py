"""DRAGAN: the penalty on critics that are known, where it looks, whom it moves, the losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from differences import assert_derivative

from tfgans import random
from tfgans.models.dragan import DRAGAN

# The noise is scaled by the deviation of the whole batch.
CONTRACT = {"like_one_device": {"noise_scale": 0.0}}


def small(**settings):
    return DRAGAN(image_shape=(8, 8, 1), latent_dim=4, width=4, **settings)


def penalty(model, critic, real):
    """The weighted penalty of a function of images in the place of D."""
    model.discriminator = lambda image, training: critic(image)
    with random.scope(0):
        return float(model.discriminator_loss(tf.constant(real))["penalty"])


def half_square(x):
    return tf.reduce_sum(x**2, [1, 2, 3]) / 2


@pytest.mark.parametrize("norm, expected", [(5.0, 160.0), (0.5, 2.5), (1.0, 0.0)])
def test_penalty_of_a_linear_critic(norm, expected):
    """10 (|w| - 1)^2 for any data: two-sided, of the plain score."""
    w = np.random.randn(8, 8, 1).astype("float32")
    w *= norm / np.linalg.norm(w)
    real = np.random.randn(16, 8, 8, 1).astype("float32")
    found = penalty(small(), lambda x: tf.reduce_sum(x * w, [1, 2, 3]), real)
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("color", [0.25, -0.5])
@pytest.mark.parametrize("weight", [10.0, 3.0])
def test_penalty_of_a_constant_batch(color, weight):
    """No deviation, so no noise: with D = |x|^2 / 2 it is weight (|c| sqrt(d) - 1)^2."""
    real = np.full([16, 8, 8, 1], color, "float32")
    found = penalty(small(penalty_weight=weight), half_square, real)
    assert found == pytest.approx(weight * (abs(color) * 8 - 1) ** 2, abs=1e-4)


def test_a_plain_mean_over_images():
    """Norms 1 and 3 give the mean of 0 and 4, not the square of a mean or of one long vector."""
    model = small(penalty_weight=1.0, noise_scale=0.0)
    real = np.zeros([2, 8, 8, 1], "float32")
    real[0, 0, 0], real[1, 0, 0] = 1.0, 3.0
    assert penalty(model, half_square, real) == pytest.approx(2.0, abs=1e-5)


@pytest.mark.parametrize("deviation", [1.0, 3.0])
def test_one_sided_noise_of_the_authors_code(deviation):
    """x + a s u / 2, uniform a and u: on average s / 8 above x; a for each image, u each pixel."""
    real = deviation * tf.random.normal([512, 8, 8, 1])
    with random.scope(0):
        moved = (small().around(real) - real).numpy() / deviation
    assert moved.mean() == pytest.approx(0.125, abs=0.01)
    assert moved.min() > -1e-5 and 0.45 < moved.max() <= 0.5 * 1.03
    means = moved.mean((1, 2, 3))  # a / 4
    assert means.std() == pytest.approx(0.25 / 12**0.5, abs=0.01)
    largest = moved.max((1, 2, 3))  # close to a / 2, so u reaches nearly 1 in each image
    assert np.corrcoef(means, largest)[0, 1] > 0.98
    within = (moved / means[:, None, None, None]).std()  # of 2 u
    assert within == pytest.approx(2 / 12**0.5, abs=0.02)


def test_centered_noise():
    real = tf.random.normal([512, 8, 8, 1])
    with random.scope(0):
        moved = (small(centered=True).around(real) - real).numpy()
    assert moved.mean() == pytest.approx(0.0, abs=0.003)
    assert -0.26 < moved.min() < -0.22 and 0.22 < moved.max() < 0.26


def test_the_deviation_is_one_number_of_the_batch():
    """A pixel that is always the same gets the same noise as the others."""
    real = np.random.choice([-1.0, 1.0], [512, 8, 8, 1]).astype("float32")
    real[:, 0, 0] = 0.5
    with random.scope(0):
        moved = (small().around(tf.constant(real)) - real).numpy()
    assert moved[:, 0, 0].mean() == pytest.approx(0.125 * real.std(), abs=0.02)


def test_penalty_knows_no_fakes():
    """It has no gradient to G, and keeps its value when G begins again."""
    model, other = small(), small()
    real = tf.random.normal([4, 8, 8, 1])
    found = []
    for generator in (model.generator, other.generator):
        model.generator = generator
        values = [w.value for w in generator.trainable_variables]
        with tf.GradientTape() as tape, random.scope(0):
            tape.watch(values)
            terms = model.discriminator_loss(real)
        assert all(gradient is None for gradient in tape.gradient(terms["penalty"], values))
        found.append([float(terms[name]) for name in ("real", "penalty", "fake")])
    assert found[0][:2] == found[1][:2] and found[0][2] != found[1][2]


def test_penalty_trains_the_discriminator():
    """Its gradient is a second derivative: compare with finite differences."""
    model = small()
    real = tf.random.normal([4, 8, 8, 1])
    kernel = model.discriminator.trainable_variables[0]

    def value():
        with random.scope(0):
            return model.gradient_penalty(real)

    assert_derivative(value, kernel, 1e-3)


def test_losses_of_an_undecided_discriminator_and_of_a_rejected_fake():
    """Scores of 0: 1.386294 for D, 0.693147 for G. At -4 G is pulled with -0.982014."""
    model = small(penalty_weight=0.0)
    model.generator = lambda z, training: tf.ones([8, 8, 8, 1])
    for score in (0.0, -4.0):
        planted = tf.Variable(tf.fill([8, 1], score))
        model.discriminator = lambda x, training, s=planted: s + 0 * tf.reduce_sum(x, [1, 2])
        with tf.GradientTape(persistent=True) as tape, random.scope(0):
            d = model.discriminator_loss(tf.zeros([8, 8, 8, 1]))
            g = model.generator_loss(8)["fake"]
        if score == 0.0:
            assert float(d["real"] + d["fake"]) == pytest.approx(1.386294, abs=1e-6)
            assert float(g) == pytest.approx(0.693147, abs=1e-6)
        else:
            np.testing.assert_allclose(tape.gradient(g, planted) * 8, -0.982014, atol=1e-6)
            np.testing.assert_allclose(tape.gradient(d["real"], planted) * 8, -0.982014, atol=1e-6)
            np.testing.assert_allclose(tape.gradient(d["fake"], planted) * 8, 0.017986, atol=1e-6)


def test_discriminator_scores_each_image_by_itself():
    """DCGAN's layers with biases, and without normalization."""
    network = DRAGAN().discriminator
    kernels = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + (64 + 128 + 256 + 512)
    assert network.count_params() == kernels + 16 * 512 + 1
    kinds = [type(layer).__name__ for layer in network.layers[1:]]
    assert kinds == 4 * ["Conv2D", "LeakyReLU"] + ["Flatten", "Dense"]
    for layer in network.layers:
        if isinstance(layer, keras.layers.LeakyReLU):
            assert layer.negative_slope == pytest.approx(0.2)
    assert network.layers[-1].activation.__name__ == "linear"


def test_latents_are_uniform_and_the_players_take_turns():
    model = small()
    with random.scope(0):
        z = model.latents(4096).numpy()
    assert -1 <= z.min() < -0.99 and 0.99 < z.max() <= 1
    moves = []
    model.update = lambda player, loss, *args, n=None: moves.append(player) or {}
    model.train_step({"image": tf.zeros([8, 8, 8, 1])})
    assert moves == ["discriminator", "generator"]
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.9)
        assert float(optimizer.learning_rate) == pytest.approx(1e-4)
