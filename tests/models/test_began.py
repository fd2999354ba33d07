"""BEGAN: the controller on a script, losses in which k is a constant, the paper's autoencoder."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.began import BEGAN


def autoencode(image, rebuilt, score):
    """An autoencoder whose error falls with the score."""
    return image + 3.0 - score


CONTRACT = {
    "replace_score": autoencode,
    "prepare": lambda model: model.k.assign(0.5),  # generated images weigh nothing at the start
}


def small(**settings):
    return BEGAN(image_shape=(8, 8, 1), latent_dim=4, width=4, **settings)


def test_controller_on_a_script():
    """k rises while fakes are rebuilt better than gamma L(x), falls else, and stays in [0, 1]."""
    model = small()
    assert model.k.numpy() == 0.0
    logs = model.move_balance(tf.constant(0.20), tf.constant(0.05))
    assert float(logs["balance/k"]) == model.k.numpy() == pytest.approx(5e-5, rel=1e-5)
    assert float(logs["balance/measure"]) == pytest.approx(0.25)
    before = model.k.numpy()
    logs = model.move_balance(tf.constant(0.20), tf.constant(0.30))
    assert before - 2e-4 < 0 and model.k.numpy() == 0.0  # clipped
    assert float(logs["balance/measure"]) == pytest.approx(0.40)
    model.k.assign(1.0)
    model.move_balance(tf.constant(0.20), tf.constant(0.05))
    assert model.k.numpy() == 1.0
    half = small(gamma=0.3, k_rate=0.1)
    half.k.assign(0.5)
    half.move_balance(tf.constant(1.0), tf.constant(0.5))
    assert half.k.numpy() == pytest.approx(0.5 + 0.1 * (0.3 - 0.5))


def test_error_is_the_mean_over_pixels_and_batch():
    model = small()
    model.discriminator = lambda image, training: image - tf.reshape([0.1, -0.3], [2, 1, 1, 1])
    assert float(model.error(tf.zeros([2, 8, 8, 1]))) == pytest.approx(0.2)  # not squared, no sum


def gradients(model, real, z, network):
    with tf.GradientTape() as tape:
        terms = model.discriminator_loss(real, z)
        loss = tf.add_n(list(terms.values()))
    return terms, tape.gradient(loss, [w.value for w in network.trainable_variables])


def test_discriminator_loss():
    """L(x) - k L(G(z)): with k = 0 the fakes have no say."""
    model = small()
    real, z = tf.random.uniform([4, 8, 8, 1], -1, 1), tf.random.uniform([4, 4], -1, 1)
    _, through = gradients(model, real, z, model.generator)
    assert all(np.all(g.numpy() == 0) for g in through)
    _, with_z = gradients(model, real, z, model.discriminator)
    _, other_z = gradients(model, real, -z, model.discriminator)
    for a, b in zip(with_z, other_z, strict=True):
        np.testing.assert_array_equal(a, b)
    model.k.assign(0.4)
    terms, with_k = gradients(model, real, z, model.discriminator)
    fake = model.generator(z)
    assert float(terms["real"]) == pytest.approx(float(model.error(real)), rel=1e-5)
    assert float(terms["fake"]) == pytest.approx(-0.4 * float(model.error(fake)), rel=1e-5)
    assert any(not np.allclose(a, b) for a, b in zip(with_z, with_k, strict=True))


def test_generator_loss_is_its_own_error_without_k():
    model, z = small(), tf.random.uniform([4, 4], -1, 1)
    for k in (0.0, 0.7):
        model.k.assign(k)
        error = float(model.error(model.generator(z)))
        assert float(model.generator_loss(z)["fake"]) == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_order_of_moves(shared):
    """D, then G, then k from the errors of these moves."""
    model = small(shared_z=shared)
    model.compile()
    model.k.assign(0.5)
    moves, update = [], model.update

    def recorded(player, loss, *args):
        moves.append((player, args[-1].numpy(), model.k.numpy()))
        return update(player, loss, *args)

    model.update = recorded
    with random.scope(0):
        logs = model.train_step({"image": tf.random.uniform([4, 8, 8, 1], -1, 1)})
    (first, z_d, k_d), (second, z_g, k_g) = moves
    assert (first, second) == ("discriminator", "generator") and k_d == k_g == 0.5
    assert np.array_equal(z_d, z_g) == shared
    real, fake = float(logs["discriminator/real"]), float(logs["generator/fake"])
    assert model.k.numpy() == pytest.approx(0.5 + 0.001 * (0.5 * real - fake), abs=1e-7)
    expected = real + abs(0.5 * real - fake)
    assert float(logs["balance/measure"]) == pytest.approx(expected, rel=1e-5)
    assert np.abs(z_d).max() <= 1.0 and z_d.min() < 0


def test_networks_of_the_paper():
    """Parameters at 64x64 with n = 128, counted by hand."""
    model = BEGAN()

    def conv(i, o):
        return 9 * i * o + o

    n = 128
    decoder = (64 * 8192 + 8192) + 8 * conv(n, n) + conv(n, 3)
    assert model.generator.count_params() == decoder == 1_716_611
    encoder = conv(3, n) + 3 * conv(n, n)
    encoder += conv(n, 2 * n) + 2 * conv(2 * n, 2 * n)
    encoder += conv(2 * n, 3 * n) + 2 * conv(3 * n, 3 * n)
    encoder += conv(3 * n, 4 * n) + conv(4 * n, 4 * n)
    encoder += 8 * 8 * 4 * n * 64 + 64
    assert model.discriminator.count_params() == encoder + decoder
    assert model.discriminator.output_shape == (None, 64, 64, 3)
    encoder, decoder = model.discriminator.layers[1:]
    assert encoder.output_shape == decoder.input_shape == (None, 64)
    for network in (model.generator, encoder, decoder):  # linear at the end, ELU inside
        assert network.layers[-1].activation is keras.activations.linear
        convs = [x for x in network.layers[:-1] if isinstance(x, keras.layers.Conv2D)]
        assert {x.activation for x in convs} == {keras.activations.elu}
    shapes = [[w.shape for w in network.weights] for network in (model.generator, decoder)]
    assert shapes[0] == shapes[1]  # the same architecture, other weights
    assert not {id(w) for w in model.generator.weights} & {id(w) for w in decoder.weights}


def test_sizes():
    assert BEGAN(image_shape=(28, 28, 1), width=4).generator.output_shape == (None, 28, 28, 1)
    for shape in ((4, 4, 1), (33, 33, 1)):
        with pytest.raises(BadInput, match=f"not {shape[0]}x{shape[1]}"):
            BEGAN(image_shape=shape, width=4)


def test_samples_are_clipped_to_the_range_of_images():
    model = small()
    for w in model.generator.weights:
        w.assign(10 * w)
    z = tf.ones([2, 4])
    assert np.abs(model.generator(z)).max() > 1.0 and np.abs(model(z)).max() <= 1.0


def test_learning_rate_is_halved_down_to_a_floor():
    optimizer = small().default_optimizers()["generator"]
    rates = [float(optimizer._learning_rate(t)) for t in (1, 150_000, 250_000, 450_000)]
    np.testing.assert_allclose(rates, [1e-4, 5e-5, 2.5e-5, 2e-5])
    # Updates are counted from 0: there are 100,000 of each rate.
    rates = [float(optimizer._learning_rate(100_000 * k - 1)) for k in (1, 2, 3)]
    np.testing.assert_allclose(rates, [1e-4, 5e-5, 2.5e-5])
    rates = [float(optimizer._learning_rate(100_000 * k)) for k in (1, 2, 3)]
    np.testing.assert_allclose(rates, [5e-5, 2.5e-5, 2e-5])
    assert (optimizer.beta_1, optimizer.beta_2) == (0.9, 0.999)


def test_the_measure_is_that_of_the_whole_batch(two_replicas):
    """Balances of 0.1 and -0.3 on two devices: |-0.1|, not the mean of 0.1 and 0.3."""
    with two_replicas.scope():
        model = small()
        model.k.assign(0.5)

        def step():
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            return model.move_balance(tf.constant(0.4), tf.where(first, 0.1, 0.5))

        logs = two_replicas.run(tf.function(step))
    measure = two_replicas.reduce("MEAN", logs["balance/measure"], axis=None)
    assert float(measure) == pytest.approx(0.4 + 0.1)
    assert model.k.numpy() == pytest.approx(0.5 - 0.001 * 0.1)
