"""WGAN: the schedule of its rounds, the clipped cube, the estimate of a linear critic, RMSProp."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.wgan import WGAN


def always_moves(model):
    model.chosen = True


CONTRACT = {"prepare": always_moves}


def small(size=8, **settings):
    return WGAN(image_shape=(size, size, 1), latent_dim=4, width=4, **settings)


@pytest.fixture(scope="module")
def paper():
    return WGAN()


def rounds(model, steps):
    """Moves of the critic before each move of G, as `choice` decides them one by one."""
    found, moves = [], 0
    for model.now in range(steps):
        moves += 1
        if model.choice():
            found.append(moves)
            moves = 0
    return found


def test_rounds_of_the_authors_code():
    """100 moves of the critic in the rounds 0 to 24, 500, 1000, ...; else 5: 2,525 after 30."""
    found = rounds(small(), 8000)
    assert found[:32] == 25 * [100] + 7 * [5] and sum(found[:30]) == 2525
    assert [k for k, moves in enumerate(found) if moves == 100] == [*range(25), 500, 1000]
    assert set(found) == {5, 100} and len(found) > 1050


@pytest.mark.parametrize(
    "settings, expected",
    [
        ((1, 7, 0, 3), [7, 1, 1, 7, 1, 1, 7, 1]),
        ((2, 3, 4, 2), [3, 3, 3, 3, 3, 2, 3, 2]),
        ((4, 1, 1, 100), [1, 4, 4, 4, 4, 4, 4, 4]),
    ],
)
def test_other_rounds(settings, expected):
    words = ("n_critic", "long_n_critic", "long_rounds", "long_every")
    model = small(**dict(zip(words, settings, strict=True)))
    assert rounds(model, 200)[:8] == expected


def test_the_critic_moves_in_each_step_and_g_at_the_end_of_a_round():
    """Its optimizers count the moves: rounds of 3, 3, 2 and 2."""
    model = small(n_critic=2, long_n_critic=3, long_rounds=2, long_every=100)
    model.compile(run_eagerly=True)
    images = {"image": tf.random.uniform([2, 8, 8, 1], -1, 1)}
    counted = []
    for _ in range(9):
        model.train_on_batch(images)
        counted.append({k: int(o.iterations) for k, o in model.optimizers.items()})
    assert [moves["discriminator"] for moves in counted] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [moves["generator"] for moves in counted] == [0, 0, 1, 1, 1, 2, 2, 3, 3]


def test_the_critic_is_in_its_cube_whenever_g_moves():
    """Gains, biases and kernels of the critic are clipped; G and the moving averages are not."""
    model = small(size=16)  # the smallest with a normalization in its critic
    model.compile(run_eagerly=True)
    update, sizes = model.update, []

    def largest(player):
        return max(np.abs(w.numpy()).max() for w in model.weights_of(player))

    def watched(player, *args, **kwargs):
        sizes.append((player, largest("discriminator")))
        return update(player, *args, **kwargs)

    model.update, model.chosen = watched, True
    data = {"image": tf.random.uniform([4, 16, 16, 1], -1, 1)}
    with random.scope(0):
        model.train_step(data)
        model.train_step(data)
    assert [player for player, _ in sizes] == 2 * ["discriminator", "generator"]
    assert sizes[0][1] > 0.5  # a gain before the first move
    assert all(size <= 0.01 + 1e-8 for _, size in sizes[1:])
    for w in model.weights_of("discriminator"):
        assert np.abs(w.numpy()).max() <= 0.01 + 1e-8
        assert np.abs(w.numpy()).max() > 5e-4, w.path  # clipped, not erased
    assert largest("generator") > 0.5
    variance = [w for w in model.discriminator.non_trainable_variables if "variance" in w.path]
    assert variance and all(w.numpy().max() > 0.5 for w in variance)


@pytest.mark.parametrize("m", [2.0, -2.0])
def test_estimate_of_a_linear_critic(m):
    """On N(0, 1) and N(m, 1) it ends at w = -c sign(m), and estimates c |m| = 0.020."""
    model = WGAN(image_shape=(8, 8, 1), latent_dim=1, width=4)
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model.discriminator = keras.Sequential([keras.Input([1]), dense])
    model.generator = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    model.generator.layers[0].set_weights([np.ones([1, 1]), np.full([1], m)])
    model.compile({"discriminator": {"learning_rate": 1e-3}}, run_eagerly=True)
    model.chosen = False
    for step in range(30):
        with random.scope(0, step):
            logs = model.train_step({"image": random.normal([4096, 1])})
    assert float(dense.kernel.numpy()[0, 0]) == pytest.approx(-0.01 * np.sign(m), abs=1e-8)
    assert -float(logs["discriminator/wasserstein"]) == pytest.approx(0.020, abs=0.002)


def test_losses_are_differences_of_plain_scores():
    """Scores 3 and 1: -2 for the critic, -1 for G; the slopes are those of means."""
    model = small()
    scores = tf.fill([8, 1], 3.0), tf.fill([8, 1], 1.0)
    model.generator = lambda z, training: "fake"
    model.discriminator = lambda x, training: scores[1] if isinstance(x, str) else scores[0]
    with tf.GradientTape(persistent=True) as tape, random.scope(0):
        tape.watch(scores)
        d = model.discriminator_loss(tf.zeros([8, 8, 8, 1]))
        g = model.generator_loss(8)
    assert d.keys() == g.keys() == {"wasserstein"}
    d, g = d["wasserstein"], g["wasserstein"]
    assert (float(d), float(g)) == (-2.0, -1.0)
    real, fake = tape.gradient(d, scores)
    np.testing.assert_allclose(real * 8, -1.0)
    np.testing.assert_allclose(fake * 8, 1.0)
    np.testing.assert_allclose(tape.gradient(g, scores[1]) * 8, -1.0)


@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_rmsprop_is_that_of_torch(size):
    """rho = 0.99, and 1e-8 beside the root. Keras' own constants fail at gradients of 1e-5."""
    for optimizer in small().default_optimizers().values():
        weight = keras.Variable([0.0])
        square, expected = 0.0, 0.0
        for gradient in (size, -2 * size, size / 2):
            square = 0.99 * square + 0.01 * gradient**2
            expected -= 5e-5 * gradient / (square**0.5 + 1e-8)
            optimizer.apply([tf.constant([gradient])], [weight])
        # At 1e-5 a step is up to 1 % longer: the square under the root adds less than beside it.
        assert float(weight[0]) == pytest.approx(expected, rel=1e-5 if size == 1.0 else 0.04)


def test_networks_of_the_authors_code(paper):
    """DCGAN of the Torch code, with its constant of normalization and no sigmoid."""
    counts = [
        sum(int(np.prod(w.shape)) for w in network.trainable_variables)
        for network in (paper.generator, paper.discriminator)
    ]
    assert counts == [3_576_704, 2_765_568]
    assert paper.discriminator.layers[-1].activation.__name__ == "linear"
    norms = [
        layer
        for network in (paper.generator, paper.discriminator)
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 4 + 3 and {layer.epsilon for layer in norms} == {1e-5}


def test_a_clipped_critic_sees_the_contrast_of_a_batch():
    """Its features vary as little as the constant of normalization, which so keeps the contrast."""
    model = small(size=16)
    model.clip_critic()
    images = tf.random.normal([4, 16, 16, 1])
    scores = [model.discriminator(c * images, training=True).numpy() for c in (1.0, 0.1)]
    assert np.abs(scores[1]).max() < 0.5 * np.abs(scores[0]).max()


def test_latents_are_normal():
    model = small()
    with random.scope(0):
        z = model.latents(4096).numpy()
    assert z.std() == pytest.approx(1.0, abs=0.02) and np.abs(z).max() > 3


def test_a_period_is_at_least_1():
    with pytest.raises(BadInput, match="model.long_every .* 1 or more, not 0"):
        small(long_every=0)
