"""LAPGAN: the pyramid and its way back, what D sees, levels that share nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models import lapgan
from tfgans.models.lapgan import LAPGAN


def is_white(rows, colors):
    """The details of a white image are zero; the coarsest level is normalized."""
    details = tf.reduce_all(tf.abs(rows) < 1e-5, axis=[1, 2, 3])
    return details | tf.reduce_all(rows > 1.5, axis=[1, 2, 3])


CONTRACT = {"is_real": is_white}


def small(**settings):
    sizes = {"image_shape": (32, 32, 1), "widths": (2, 3), "coarse_latent_dim": 4}
    sizes |= {"coarse_generator_width": 4, "coarse_discriminator_width": 4}
    return LAPGAN(**(sizes | settings))


def batch(n=4):
    return tf.random.uniform([n, 32, 32, 1], -1, 1)


@pytest.mark.parametrize("kind", ["bilinear", "nearest"])
def test_pyramid_and_back(kind, monkeypatch):
    """Exact for any d and u: h_k is what u(d(I_k)) lacks."""
    if kind == "nearest":
        monkeypatch.setattr(lapgan, "down", lambda x: x[:, ::2, ::2])
        monkeypatch.setattr(lapgan, "up", lambda x: tf.repeat(tf.repeat(x, 2, 1), 2, 2))
    model, image = small(pixel_mean=0.2, pixel_std=0.5), batch()
    (h0, l0), (h1, l1), (coarsest, zero) = model.pyramid(image)
    assert [x.shape[1] for x in (h0, l0, h1, l1, coarsest)] == [32, 32, 16, 16, 8]
    assert not np.any(zero)
    np.testing.assert_allclose(h0 + l0, (image - 0.2) / 0.5, atol=1e-6)
    np.testing.assert_allclose(l1, lapgan.up(coarsest), atol=1e-6)
    np.testing.assert_allclose(l0, lapgan.up(h1 + l1), atol=1e-6)


def test_d_averages_two_by_two():
    image = batch().numpy()
    mean = image.reshape(4, 16, 2, 16, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(lapgan.down(tf.constant(image)), mean, atol=1e-6)


def test_real_details_at_all_levels_give_the_image_back():
    model, image = small(), batch()
    (h0, _), (h1, _), (coarsest, _) = model.pyramid(image)
    parts = [lambda inputs: h0, lambda inputs: h1, lambda z: coarsest]
    model.generator = lapgan.Cascade(parts)
    np.testing.assert_allclose(model(tf.zeros([4, model.latent_dim])), image, atol=1e-6)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_discriminator_sees_the_sum(k):
    """I_k on the real side; l_k + G_k(z_k, l_k) on the other, for the true l_k."""
    model = small()
    images = [(batch() - model.pixel_mean) / model.pixel_std]
    for _ in range(2):
        images.append(lapgan.down(images[-1]))
    detail, coarse = model.pyramid(images[0] * model.pixel_std + model.pixel_mean)[k]
    sums, network = [], model.discriminators[k]
    made = tf.random.normal(detail.shape)
    model.draw = lambda level, given: made

    def recorded(inputs, training):
        sums.append(inputs[0] + inputs[1] if k < 2 else inputs)
        return network(inputs, training=False)

    model.discriminators = [recorded] * 3
    with random.scope(0):
        model.discriminator_loss(k, detail, coarse)
        model.generator_loss(k, coarse)
    real, fake, fake_again = sums
    np.testing.assert_allclose(real, images[k], atol=1e-5)
    np.testing.assert_allclose(fake, made + (lapgan.up(images[k + 1]) if k < 2 else 0), atol=1e-5)
    np.testing.assert_array_equal(fake, fake_again)
    if k < 2:  # and nothing but the sum
        a, b, shift = detail, coarse, tf.random.normal(detail.shape)
        np.testing.assert_allclose(network([a, b]), network([a + shift, b - shift]), atol=1e-4)


def test_levels_share_nothing():
    model = small()
    sets = [{id(w) for w in model.weights_of(player)} for player in model.players()]
    assert len(sets) == 6 and all(sets)
    assert len(set.union(*sets)) == sum(map(len, sets)) == len(model.trainable_variables)


def test_noise_of_the_finest_level_changes_the_finest_detail_only():
    model = small()
    z = tf.random.uniform([2, model.latent_dim], -1, 1)
    other = tf.concat([-z[:, : 32 * 32], z[:, 32 * 32 :]], axis=1)
    seen, finest = [], model.generators[0]

    def recorded(inputs):
        seen.append(inputs[1].numpy())
        return finest(inputs)

    parts = [recorded, *model.generators[1:]]
    model.generator = lapgan.Cascade(parts)
    assert not np.allclose(model(z), model(other))
    np.testing.assert_array_equal(*seen)  # the same coarse image below it


def test_levels_learn_from_real_coarse_images():
    """Training level 0 leaves all others alone, and its loss does not see their generators."""
    model = small()
    detail, coarse = model.pyramid(batch())[0]
    losses = []
    for _ in range(2):
        with random.scope(0):
            losses.append(float(model.generator_loss(0, coarse)["fake"]))
        for generator in model.generators[1:]:
            for w in generator.weights:
                w.assign(w + 1.0)
    assert losses[0] == losses[1]


def test_losses_at_the_start():
    """An undecided D gives log 2 as the mean over real and generated, and log 2 to G."""
    model = small()
    model.score = lambda k, detail, coarse: tf.zeros([len(detail), 1])
    for k, (detail, coarse) in enumerate(model.pyramid(batch())):
        with random.scope(0):
            d = model.discriminator_loss(k, detail, coarse)
            g = model.generator_loss(k, coarse)
        assert float(d["real"] + d["fake"]) == pytest.approx(0.693147, abs=1e-6)
        assert float(g["fake"]) == pytest.approx(0.693147, abs=1e-6)


def test_moves():
    model, moves = small(), []
    model.update = lambda player, loss, *args, n=None: moves.append((player, args[0])) or {}
    model.train_step({"image": batch()})
    assert moves == [(f"{who}_{k}", k) for k in range(3) for who in ("discriminator", "generator")]


def test_networks_of_the_paper():
    """Parameters for CIFAR-10, counted by hand; valid convolutions take 32 to 12, 16 to 4."""
    model = LAPGAN()

    def generator(n):
        return 49 * 4 * n + n + 49 * n * n + n + 25 * n * 3 + 3

    def discriminator(n, side):
        return 25 * 3 * n + n + 25 * n * n + n + side * side * n + 1

    found = [network.count_params() for network in model.generators]
    base = 100 * 1200 + 1200 + 1200**2 + 1200 + 1200 * 192 + 192
    assert found == [generator(128), generator(64), base] == [837_763, 218_179, 1_792_992]
    found = [network.count_params() for network in model.discriminators]
    base = 192 * 600 + 600 + 600**2 + 600 + 600 + 1
    assert found == [discriminator(128, 12), discriminator(64, 4), base]
    assert model.generator.count_params() == sum(g.count_params() for g in model.generators)
    assert model.latent_dim == 32 * 32 + 16 * 16 + 100
    with random.scope(0):
        z = model.latents(4).numpy()
    assert -1 <= z.min() < -0.9 and 0.9 < z.max() <= 1
    for network in model.generators[:2]:  # details have no bounds
        assert network.layers[-1].activation is keras.activations.linear


def test_schedule():
    optimizer = small(epoch_steps=2).default_optimizers()["generator_1"]
    assert (optimizer.momentum, optimizer.final_momentum, optimizer.rise_steps) == (0.5, 0.8, 750)
    rates = [float(optimizer._learning_rate(t)) for t in (0, 2 * 10**6)]
    np.testing.assert_allclose(rates, [0.02, 0.02 / 1.000004**10**6], rtol=1e-3)


def test_sizes():
    for shape in ((30, 32, 1), (16, 16, 1)):
        with pytest.raises(BadInput, match=f"not {shape[0]}x{shape[1]}"):
            small(image_shape=shape)


def test_start_of_the_details_is_that_of_torch():
    """Kernels and biases of U(-1, 1) / sqrt(fan-in)."""
    model = LAPGAN()
    for network in (*model.generators[:2], *model.discriminators[:2]):
        kernels, biases = network.trainable_variables[::2], network.trainable_variables[1::2]
        for kernel, bias in zip(kernels, biases, strict=True):
            bound = np.prod(kernel.shape[:-1]) ** -0.5
            assert kernel.numpy().std() == pytest.approx(bound / 3**0.5, rel=0.05), kernel.path
            for w in (kernel, bias):
                assert 0 < np.abs(w.numpy()).max() <= bound, w.path
            if bias.shape[0] > 3:
                assert bias.numpy().std() == pytest.approx(bound / 3**0.5, rel=0.25), bias.path
