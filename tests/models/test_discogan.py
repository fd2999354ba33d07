"""DiscoGAN: order of moves, the curriculum, mean features, values in [0, 1], sizes."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tiny import fit, new, trainable, without_numbers

from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.models.discogan import (
    DiscoGAN,
    build_discriminator,
    build_generator,
    feature_distance,
)

CONTRACT = {
    "served": ["generator_ab", "generator_ba"],
    # Means of features are those of a replica's batch. The code of one pixel is normalized over
    # four numbers, which blows up rounding.
    "like_one_device": {"feature_share": 0.0, "bottleneck": 0},
}


def small(**settings):
    return DiscoGAN(
        **{"image_shape": (16, 16, 3), "width": 4, "weight_decay": 0.0, "first_steps": 5} | settings
    )


def test_defaults_of_the_code():
    """10,000 steps of the curriculum's first rate; a decay of w^2 / 2 in both losses."""
    with without_numbers():
        model = DiscoGAN()
    rates = model.first_rate, model.last_rate, model.first_steps
    assert rates == (0.01, 0.5, 10_000)
    assert (model.feature_share, model.weight_decay) == (0.9, 1e-5)
    assert Config.load("discogan").data.batch_size == 64
    model = small(weight_decay=1e-5)
    losses = {"discriminators": model.discriminators_loss, "generators": model.generators_loss}
    for player, loss in losses.items():
        terms = loss(pictures(0), pictures(1))
        squares = sum(float(tf.reduce_sum(w**2)) for w in model.weights_of(player))
        assert float(terms["decay"]) == pytest.approx(1e-5 * squares / 2, rel=1e-4)


def pictures(seed, n=4):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, 16, 16, 3]), "float32")


def test_networks_of_the_paper():
    with without_numbers():
        model = DiscoGAN()
    assert trainable(model.generator_ab) == trainable(model.generator_ba) == 5_513_856
    assert trainable(model.discriminator_a) == trainable(model.discriminator_b) == 2_765_568
    assert not any(w.name == "bias" for w in model.trainable_variables)
    code = [x for x in build_generator((64, 64, 3), 64, 100, "g").layers if x.output.shape[1] == 1]
    assert code[0].output.shape[1:] == (1, 1, 100)


def test_images_have_two_halvings_or_more():
    """With one, a discriminator would have no features."""
    with pytest.raises(BadInput, match="at least 16 pixels, not 8x8"):
        small(image_shape=(8, 8, 3))


def test_first_weights_are_those_of_torch():
    """U(-b, b) with b = 1 / sqrt(inputs): 3 x 16 inputs first; of outputs x 16 on the way up."""
    network = build_generator((32, 32, 3), 32, 0, "g")
    kernels = [w.numpy() for w in network.trainable_variables if w.name == "kernel"]
    assert np.abs(kernels[0]).max() == pytest.approx(1 / math.sqrt(48), rel=0.02)
    assert np.abs(kernels[-2]).max() == pytest.approx(1 / math.sqrt(32 * 16), rel=0.02)
    assert kernels[1].std() == pytest.approx(1 / math.sqrt(3 * 32 * 16), rel=0.02)


def test_one_move_of_discriminators_then_two_of_generators():
    """In nine steps: discriminators in 0, 3 and 6, generators in the other six."""
    model, settings, source = new("discogan")
    before, moved = {}, []
    for player in model.players():
        apply = model.optimizers[player].apply

        def watched(gradients, weights, player=player, apply=apply):
            moved.append((int(model.step), player))
            apply(gradients, weights)

        model.optimizers[player].apply = watched
    fit(model, settings, source, 9)
    expected = ["discriminators", "generators", "generators"] * 3
    assert moved == [*enumerate(expected)] and not before


def test_features_are_compared_as_means_of_the_batch():
    """Images in another order have the same features; a batch and itself have distance 0."""
    x = tf.constant(np.random.RandomState(0).randn(4, 2, 2, 3), "float32")
    assert float(feature_distance([x, x], [x[::-1], x])) == pytest.approx(0.0, abs=1e-12)
    # Means differ by 1 in all places of one layer, by 2 of the other: 1 + 4.
    y = tf.zeros([4, 1, 1, 2])
    assert float(feature_distance([x, y], [x + 1.0, y - 2.0])) == pytest.approx(5.0, rel=1e-5)
    # Squares are taken at each place: gaps of 1 and -1 do not cancel.
    signs = tf.constant([1.0, -1.0])[:, None, None] * tf.ones([4, 2, 2, 3])
    assert float(feature_distance([x], [x + signs])) == pytest.approx(1.0, rel=1e-5)


def replaced(model, score=0.0):
    """Generators that change nothing, and discriminators with one score and no features but 0."""
    model.generator_ab = model.generator_ba = lambda image, training: image
    judge = lambda image, training: [tf.fill([4, 1], score), tf.zeros([4, 2, 2, 3])]  # noqa: E731
    model.discriminator_a = model.discriminator_b = judge
    return model


@pytest.mark.parametrize("step, rate", [(0, 0.01), (4, 0.01), (5, 0.5), (9, 0.5)])
def test_terms_of_generators_at_zero_logits(step, rate):
    """2 * 0.99 * 0.1 * ln 2 = 0.13724 at first; the curriculum makes it 2 * 0.5 * 0.1 * ln 2."""
    model = replaced(small())
    model.step.assign(step)
    terms = model.generators_loss(pictures(0), pictures(1))
    assert float(terms["fake"]) == pytest.approx(2 * (1 - rate) * 0.1 * math.log(2), rel=1e-5)
    if rate == 0.01:
        assert float(terms["fake"]) == pytest.approx(0.13724, abs=1e-5)
    assert float(terms["features"]) == float(terms["reconstruction"]) == 0.0


def test_reconstruction_is_that_of_values_from_0_to_1():
    """Black in place of white is an error of 1 and not of 4; each direction has its own."""
    model = replaced(small())
    model.step.assign(9)
    model.generator_ab = lambda image, training: -tf.ones_like(image)
    white = tf.ones([4, 16, 16, 3])
    terms = model.generators_loss(white, -white)
    # A comes back black, B stays: half of the error 1.
    assert float(terms["reconstruction"]) == pytest.approx(0.5)
    terms = model.generators_loss(white, white)
    assert float(terms["reconstruction"]) == pytest.approx(1.0)


def test_features_have_their_share_and_their_domain():
    """A's features meet those of images made of B; 0.9 of 1 - r."""
    model = replaced(small())
    seen = []

    def judge(image, training):
        seen.append(image)
        feature = tf.reduce_mean(image) * tf.ones([4, 2, 2, 3])
        return [tf.zeros([4, 1]), feature]

    model.discriminator_a = judge
    a, b = tf.fill([4, 16, 16, 3], 0.5), tf.fill([4, 16, 16, 3], -0.25)
    terms = model.generators_loss(a, b)
    np.testing.assert_array_equal(seen[0], a)
    np.testing.assert_array_equal(seen[1], b)  # the untouched image of B
    assert float(terms["features"]) == pytest.approx(0.99 * 0.9 * 0.75**2, rel=1e-5)


def test_discriminators_pay_half_of_each_side():
    terms = replaced(small(), 2.0).discriminators_loss(pictures(0), pictures(1))
    expected = 0.5 * (math.log1p(math.exp(-2)) + math.log1p(math.exp(2)))
    assert float(terms["a"]) == float(terms["b"]) == pytest.approx(expected, rel=1e-5)


def test_discriminators_give_features_behind_normalizations():
    """Three maps of 16, 8 and 4 pixels at 64; images leave the generators within [-1, 1]."""
    d = build_discriminator((64, 64, 3), 4, "d")
    assert [x.shape[1:] for x in d.outputs] == [(1,), (16, 16, 8), (8, 8, 16), (4, 4, 32)]
    image = small().generator_ab(3.0 * pictures(0))
    assert float(tf.reduce_max(tf.abs(image))) <= 1.0
