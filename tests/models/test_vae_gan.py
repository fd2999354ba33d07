"""VAE-GAN: which term reaches which network, sums and means, the guard, the paper's sizes."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.vae_gan import VAEGAN

CONTRACT = {
    # The encoder does not play: the game's gradient stops at z.
    "spectators": ["encoder"],
    "served": ["encoder", "decoder"],
}


def small(**settings):
    return VAEGAN(
        **{
            "image_shape": (8, 8, 1),
            "latent_dim": 3,
            "encoder_channels": (4, 4),
            "encoder_width": 8,
            "decoder_channels": (4, 4, 4),
            "discriminator_channels": (4, 4, 4),
            "discriminator_width": 8,
            "weight_decay": 0.0,
        }
        | settings
    )


def gradients(model, image, terms=None):
    """Player -> the gradient of its loss, of some terms only, in the weights of each network."""
    networks = {name: model.weights_of(name) for name in model.players()}
    values = {name: [w.value for w in own] for name, own in networks.items()}
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape, random.scope(0):
        tape.watch(values)
        losses, _ = model.losses(image)
        totals = {
            player: tf.add_n([v for k, v in own.items() if terms is None or (player, k) in terms])
            for player, own in losses.items()
            if terms is None or any((player, k) in terms for k in own)
        }
    return {
        player: {
            name: [np.asarray(g) for g in tape.gradient(total, own, unconnected_gradients="zero")]
            for name, own in values.items()
        }
        for player, total in totals.items()
    }


def step(model, image):
    """Applies one step of plain descent with rate 1; player -> how its weights moved."""
    model.compile({p: keras.optimizers.SGD(1.0) for p in model.players()}, run_eagerly=True, seed=0)
    before = {p: [w.numpy() for w in model.weights_of(p)] for p in model.players()}
    model.train_on_batch({"image": image})
    return {
        p: [old - w.numpy() for old, w in zip(own, model.weights_of(p), strict=True)]
        for p, own in before.items()
    }


def largest(arrays):
    return max(np.abs(a).max() for a in arrays)


IMAGE = tf.constant(np.random.RandomState(0).uniform(-1, 1, [6, 8, 8, 1]), "float32")


def test_each_player_moves_down_its_own_terms_only():
    """The applied steps are the gradients of KL + L for E, gamma L - game for Dec, game for D."""
    keras.utils.set_random_seed(0)
    model = small(gamma=0.5)
    found = gradients(model, IMAGE)
    moved = step(model, IMAGE)
    for player, own in moved.items():
        for a, b in zip(own, found[player][player], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4 * max(1.0, np.abs(b).max()))
        assert largest(own) > 1e-4


def test_the_discriminator_never_learns_from_the_reconstruction():
    keras.utils.set_random_seed(0)
    model = small(gamma=0.5)
    all_terms = gradients(model, IMAGE)["discriminator"]["discriminator"]
    game = gradients(
        model, IMAGE, [("discriminator", k) for k in ("real", "sample", "reconstruction")]
    )
    for a, b in zip(all_terms, game["discriminator"]["discriminator"], strict=True):
        np.testing.assert_array_equal(a, b)
    model.gamma = 1e6  # a weight of the reconstruction that would be seen
    again = gradients(model, IMAGE)["discriminator"]["discriminator"]
    for a, b in zip(all_terms, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_game_never_reaches_the_encoder():
    """It has KL and the reconstruction with the weight 1, whatever gamma is."""
    keras.utils.set_random_seed(0)
    model = small(gamma=0.0)
    with random.scope(0):
        losses, _ = model.losses(IMAGE)
    assert losses["encoder"].keys() == {"kl", "error"}
    without = gradients(model, IMAGE)
    model.gamma = 7.0
    with_gamma = gradients(model, IMAGE)
    for a, b in zip(without["encoder"]["encoder"], with_gamma["encoder"]["encoder"], strict=True):
        np.testing.assert_array_equal(a, b)
    alone = gradients(model, IMAGE, [("encoder", "error")])["encoder"]["encoder"]
    assert largest(alone) > 1e-4  # through the decoder and D's features
    assert largest(without["decoder"]["decoder"]) > 1e-4  # without gamma the game moves it


def planted(model, real, again, new, features=0.0):
    """Puts a discriminator of constant scores and features in the place of D."""

    def discriminator(image, training):
        n = image.shape[0] // 3
        score = tf.repeat(tf.constant([real, again, new]), n)[:, None]
        offset = tf.repeat(tf.constant([0.0, features, 5.0]), n)[:, None, None, None]
        return score, tf.zeros([3 * n, 8, 8, 256]) + offset

    model.discriminator = discriminator


@pytest.mark.parametrize("both, expected", [(True, 2.079442), (False, 1.386294)])
def test_the_game_where_d_cannot_tell(both, expected):
    """3 ln 2, or 2 ln 2 without reconstructions; the decoder's is minus the part of its own."""
    model = small(judge_reconstructions=both, gamma=0.0)
    planted(model, 0.0, 0.0, 0.0)
    with random.scope(0):
        losses, _ = model.losses(IMAGE)
    assert float(tf.add_n(list(losses["discriminator"].values()))) == pytest.approx(
        expected, abs=1e-5
    )
    decoder = float(tf.add_n(list(losses["decoder"].values())))
    assert decoder == pytest.approx(math.log(2) - expected, abs=1e-5)


def test_scores_of_the_three_kinds():
    model = small(gamma=0.0)
    planted(model, 1.0, -2.0, 3.0)
    with random.scope(0):
        losses, costs = model.losses(IMAGE)
    d = {name: float(value) for name, value in losses["discriminator"].items()}
    assert d == {
        "real": pytest.approx(math.log1p(math.exp(-1)), abs=1e-5),
        "reconstruction": pytest.approx(math.log1p(math.exp(-2)), abs=1e-5),
        "sample": pytest.approx(math.log1p(math.exp(3)), abs=1e-5),
    }
    assert costs["sample"].shape == (6, 1)


def test_the_reconstruction_is_a_sum_over_features():
    """16,384 features that differ by 0.1: 81.92 for each image, and gamma of it for the decoder."""
    model = small(gamma=1e-2)
    planted(model, 0.0, 0.0, 0.0, features=0.1)
    with random.scope(0):
        losses, _ = model.losses(IMAGE)
    assert float(losses["encoder"]["error"]) == pytest.approx(81.92, rel=1e-4)
    assert float(losses["decoder"]["error"]) == pytest.approx(0.8192, rel=1e-4)


def test_divergence_from_the_prior():
    """Mean 1 and deviation 0.5: 0.818147 for each latent."""
    model = small()
    mean, log_variance = tf.ones([5, 64]), tf.fill([5, 64], 2 * math.log(0.5))
    assert float(model.divergence(mean, log_variance)) == pytest.approx(52.361, abs=1e-3)
    assert float(model.divergence(0 * mean, 0 * log_variance)) == 0.0


def test_the_draw_has_the_deviation_that_the_divergence_sees():
    model, seen = small(), []
    row = tf.constant([[1.0] * 3 + [2 * math.log(0.5)] * 3])
    model.encoder = lambda image, training: tf.repeat(row, image.shape[0], axis=0)
    decoder = model.decoder
    model.decoder = lambda z, training: seen.append(z.numpy()) or decoder(z, training=training)
    with random.scope(0):
        losses, _ = model.losses(tf.zeros([2000, 8, 8, 1]))
    assert float(losses["encoder"]["kl"]) == pytest.approx(3 * 0.818147, abs=1e-4)
    z, new = np.split(seen[0], 2)
    np.testing.assert_allclose(z.mean(axis=0), 1.0, atol=0.04)
    np.testing.assert_allclose(z.std(axis=0), 0.5, atol=0.03)
    np.testing.assert_allclose(new.std(axis=0), 1.0, atol=0.06)
    assert abs(np.corrcoef(z[:, 0], new[:, 0])[0, 1]) < 0.06


@pytest.mark.parametrize(
    "real, fake, expected",
    [
        (0.68, 0.68, "all"),
        (0.32, 0.68, "no discriminator"),
        (0.68, 0.32, "no discriminator"),
        (1.04, 0.68, "no decoder"),
        (0.68, 1.04, "no decoder"),
        (0.1, 1.5, "all"),
    ],
)
def test_the_guard(real, fake, expected):
    """Below 0.33 D stands still, above 1.03 the decoder; never both."""
    model = small()
    model.real_cost.assign(real)
    model.fake_cost.assign(fake)
    assert model.choice() == expected
    model.guard = False
    assert model.choice() == "all"


@pytest.mark.parametrize(
    "chosen, still", [("no discriminator", "discriminator"), ("no decoder", "decoder")]
)
def test_a_player_that_the_guard_stops_does_not_move(chosen, still):
    model = small()
    model.choice = lambda: chosen
    moved = step(model, IMAGE)
    for player, own in moved.items():
        assert (largest(own) > 0.0) == (player != still)


def test_the_guard_sees_the_costs_of_the_step_before():
    keras.utils.set_random_seed(0)
    model = small()
    with random.scope(0):
        model.chosen = "all"
        _, costs = model.losses(IMAGE)
    assert float(model.real_cost) == pytest.approx(0.68)
    step(model, IMAGE)
    assert float(model.real_cost) != pytest.approx(0.68, abs=1e-4)
    fake = [float(tf.reduce_mean(costs[name])) for name in ("sample", "reconstruction")]
    assert float(model.fake_cost) == pytest.approx(np.mean(fake), abs=0.5)
    assert float(model.real_cost) == pytest.approx(float(tf.reduce_mean(costs["real"])), abs=0.5)


def test_an_attribute_is_a_difference_of_mean_codes():
    model = small()
    having, lacking = IMAGE[:2], IMAGE[2:5]
    direction = model.attribute(having, lacking)
    z = model.encode(IMAGE)["z"].numpy()
    np.testing.assert_allclose(direction, z[:2].mean(axis=0) - z[2:5].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(model.edit(IMAGE, 0 * direction), model.reconstruct(IMAGE))
    np.testing.assert_allclose(model.edit(IMAGE, direction), model(z + direction), atol=1e-5)


def test_the_sizes_of_the_paper():
    """64x64: features are 8x8x256; and numbers of weights by hand."""
    with without_numbers():
        model = VAEGAN()
    assert model.discriminator.output[1].shape[1:] == (8, 8, 256)

    def count(network):
        return sum(math.prod(w.shape) for w in network.trainable_variables)

    def conv(inputs, outputs, norm=True):
        return 25 * inputs * outputs + (2 * outputs if norm else outputs)

    encoder = conv(3, 64) + conv(64, 128) + conv(128, 256)
    encoder += 64 * 256 * 1024 + 2 * 1024 + 1024 * 256 + 256
    assert count(model.encoder) == encoder
    decoder = 128 * 64 * 256 + 2 * 64 * 256
    decoder += conv(256, 256) + conv(256, 128) + conv(128, 32) + conv(32, 3, norm=False)
    assert count(model.decoder) == decoder
    discriminator = conv(3, 32, norm=False) + conv(32, 128) + conv(128, 256) + conv(256, 256)
    discriminator += 64 * 256 * 512 + 2 * 512 + 512 + 1
    assert count(model.discriminator) == discriminator
    for optimizer in model.default_optimizers().values():
        assert float(optimizer.learning_rate) == pytest.approx(3e-4)
        assert optimizer.rho == 0.9 and optimizer.epsilon**0.5 == pytest.approx(1e-8)


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="two numbers or more"):
        small(discriminator_channels=(4,))
