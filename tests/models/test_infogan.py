"""InfoGAN: the bound of the mutual information, whom it moves, what the codes come to mean."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.infogan import InfoGAN

CONTRACT = {"served": ["generator", "trunk", "recognition"]}


def small(**settings):
    return InfoGAN(**{
        "image_shape": (8, 8, 1), "noise_dim": 4, "dense_width": 8, "width": 2,
    } | settings)  # fmt: skip


def latents(model, n, seed=0):
    with random.scope(seed):
        return model.latents(n)


def test_bound_of_a_categorical_code():
    """An ignorant Q: 0. One that is sure and right: ln 10 = 2.302585. Sure and wrong: far below."""
    model = small(continuous=0)
    z = latents(model, 256)
    (one_hot,), _ = model.split_codes(z)
    for logits, expected in (
        (0.0 * one_hot, 0.0), (100.0 * one_hot, 2.302585), (-100.0 * one_hot, 2.302585 - 102.197),
    ):  # fmt: skip
        assert float(model.information(z, logits)["categorical"]) == pytest.approx(
            expected, abs=1e-3
        )
    several = small(categories=(10, 3), continuous=0)
    z = latents(several, 64)
    sure = 100.0 * z[:, 4:]
    bound = several.information(z, sure)["categorical"]
    assert float(bound) == pytest.approx(np.log(30), abs=1e-4)


def test_bound_of_continuous_codes():
    """Deviation 1: a perfect mean shows E c^2 / 2 = 1/6 per code, the mean 0 shows 0."""
    model = small(categories=(), continuous=2)
    z = latents(model, 20_000)
    _, c = model.split_codes(z)
    perfect = tf.concat([c, 5.0 * tf.ones_like(c)], axis=1)  # the second half is not used
    assert float(model.information(z, perfect)["continuous"]) == pytest.approx(2 / 6, abs=0.01)
    ignorant = tf.zeros([20_000, 4])
    assert float(model.information(z, ignorant)["continuous"]) == pytest.approx(0.0, abs=1e-6)
    learned = small(categories=(), continuous=2, learned_deviation=True)
    narrow = tf.concat([c, tf.fill(c.shape, float(2.0 * np.log(0.1)))], axis=1)  # deviation 0.1
    expected = 2 * (1 / 6 + np.log(10.0))
    assert float(learned.information(z, narrow)["continuous"]) == pytest.approx(expected, abs=0.01)


def test_information_moves_both_players_but_not_the_score():
    model = small()
    z = latents(model, 8)
    real = tf.random.uniform([8, 8, 8, 1], -1, 1)
    networks = [model.generator, model.trunk, model.recognition, model.head]
    values = [[w.value for w in network.trainable_variables] for network in networks]
    with tf.GradientTape(persistent=True) as tape:
        d, g = model.discriminator_loss(real, z), model.generator_loss(z)
        d, g = (terms["categorical"] + terms["continuous"] for terms in (d, g))

    def size(loss, variables):
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return float(tf.add_n([tf.reduce_sum(tf.abs(x)) for x in gradients]))

    for loss in (d, g):
        generator, trunk, recognition, head = (size(loss, v) for v in values)
        assert min(generator, trunk, recognition) > 1e-6 and head == 0.0
    assert {w.path for w in model.weights_of("discriminator")} == {
        w.path for network in networks[1:] for w in network.trainable_variables
    }


def test_both_moves_see_the_same_latents_and_lower_minus_the_bound():
    model = small(information_weight=0.5)
    calls = []
    model.update = lambda player, loss, *args: calls.append((player, args[-1])) or {}
    with random.scope(0):
        model.train_step({"image": tf.zeros([6, 8, 8, 1])})
    (first, z), (second, again) = calls
    assert (first, second) == ("discriminator", "generator") and z.shape == (6, model.latent_dim)
    np.testing.assert_array_equal(z, again)
    model.recognition = lambda x, training: 100.0 * tf.concat([z[:, 4:14], 0.0 * z[:, :4]], 1)
    for terms in (model.generator_loss(z), model.discriminator_loss(tf.zeros([6, 8, 8, 1]), z)):
        assert float(terms["categorical"]) == pytest.approx(-0.5 * 2.302585, abs=1e-4)


def test_losses_of_an_undecided_discriminator():
    model = small()
    model.head = lambda x: tf.zeros([len(x), 1])
    z = latents(model, 4)
    d, g = model.discriminator_loss(tf.zeros([4, 8, 8, 1]), z), model.generator_loss(z)
    assert float(d["real"] + d["fake"]) == pytest.approx(1.386294, abs=1e-6)
    assert float(g["fake"]) == pytest.approx(0.693147, abs=1e-6)


def test_latents_are_noise_categories_and_continuous_codes():
    model = small(noise_dim=3, categories=(4, 2), continuous=1)
    z = latents(model, 4000).numpy()
    assert z.shape == (4000, 3 + 4 + 2 + 1)
    for columns in (slice(3, 7), slice(7, 9)):
        one_hot = z[:, columns]
        assert set(np.unique(one_hot)) == {0.0, 1.0} and np.all(one_hot.sum(axis=1) == 1)
        np.testing.assert_allclose(one_hot.mean(axis=0), 1 / one_hot.shape[1], atol=0.03)
    for column in (0, 1, 2, 9):
        assert np.abs(z[:, column]).max() <= 1
        assert z[:, column].std() == pytest.approx(3**-0.5, abs=0.02)
    assert abs(np.corrcoef(z[:, 3], z[:, 9])[0, 1]) < 0.06


def test_traversal_changes_one_code_along_each_row():
    model = small(categories=(3,), continuous=2)
    with random.scope(0):
        z = model.traversal_latents().numpy().reshape(10, 10, model.latent_dim)
    varied = [np.flatnonzero(np.ptp(row, axis=0)).tolist() for row in z]
    assert varied == [[4, 5, 6]] * 4 + [[7]] * 3 + [[8]] * 3
    np.testing.assert_array_equal(z[0, :, 4:7].argmax(1), [0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(z[9, :, 8], np.linspace(-1, 1, 10), atol=1e-6)
    assert np.ptp(z[:, 0, 0]) > 0.5  # each row its own noise
    np.testing.assert_array_equal(model.traverse(seed=3), model.traverse(seed=3))
    assert model.traverse().shape == (100, 8, 8, 1)
    assert small(categories=(), continuous=2).traverse().shape == (100, 8, 8, 1)


def test_encode_reads_the_codes():
    model = small(categories=(3, 2), continuous=1)
    found = {name: value.numpy() for name, value in model.encode(tf.zeros([5, 8, 8, 1])).items()}
    assert {name: value.shape for name, value in found.items()} == {
        "category_0": (5, 3), "category_1": (5, 2), "continuous": (5, 1),
    }  # fmt: skip
    np.testing.assert_allclose(found["category_0"].sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_a_category_finds_the_modes_of_a_mixture(weight):
    """Gaussians at -2, 0, 2 and one code of 3: L_I above 0.8 of ln 3; without its term near 0."""

    def mlp(inputs, outputs):
        x = keras.Input([inputs])
        y = keras.layers.Dense(32, "relu")(keras.layers.Dense(32, "relu")(x))
        return keras.Model(x, keras.layers.Dense(outputs)(y))

    model = small(noise_dim=2, categories=(3,), continuous=0, information_weight=weight)
    model.generator, model.trunk = mlp(5, 1), mlp(1, 16)
    model.head, model.recognition = mlp(16, 1), mlp(16, 3)
    model.image_shape = (1,)
    model.compile({player: {"learning_rate": 2e-3} for player in ("discriminator", "generator")})
    keys = np.random.RandomState(0)
    (step,) = model.graphs({"image": tf.TensorSpec([64, 1])}).values()
    for i in range(300):
        modes = keys.choice([-2.0, 0.0, 2.0], [64, 1])
        logs = step({"image": tf.constant(modes + 0.1 * keys.randn(64, 1), "float32")})
        model.step.assign(i + 1)
    z = latents(model, 512)
    bound = model.information(z, model.recognition(model.trunk(model.generator(z))))
    if weight:
        assert float(bound["categorical"]) > 0.8
        assert float(logs["generator/categorical"]) < -0.8
    else:
        assert float(bound["categorical"]) < 0.1


def test_networks_for_mnist():
    """Counted by hand; z has 62 + 10 + 2 = 74 numbers, Q's last layer 10 + 2 * 2."""
    model = InfoGAN()
    assert model.latent_dim == 74
    first, second = 74 * 1024 + 3 * 1024, 1024 * 6272 + 3 * 6272
    assert trainable(model.generator) == (
        first + second + (16 * 128 * 64 + 3 * 64) + (16 * 64 * 1 + 1)
    )
    trunk = (16 * 64 + 64) + (16 * 64 * 128 + 3 * 128) + (6272 * 1024 + 3 * 1024)
    assert trainable(model.trunk) == trunk
    assert trainable(model.head) == 1025
    assert trainable(model.recognition) == (1024 * 128 + 3 * 128) + (129 * 14)
    kernels = [w for w in model.trunk.weights if len(w.shape) == 4]
    assert np.abs(kernels[1]).max() <= 0.04 and kernels[1].numpy().std() > 0.016  # truncated
    optimizers = model.default_optimizers()
    rates = {name: (float(o.learning_rate), o.beta_1) for name, o in optimizers.items()}
    assert rates["discriminator"] == pytest.approx((2e-4, 0.5))
    assert rates["generator"] == pytest.approx((1e-3, 0.5))


def test_what_cannot_be_built_is_said():
    with pytest.raises(BadInput, match="multiples of 4, not 30x28"):
        InfoGAN(image_shape=(30, 28, 1))
    with pytest.raises(BadInput, match="needs a code"):
        small(categories=(), continuous=0)
