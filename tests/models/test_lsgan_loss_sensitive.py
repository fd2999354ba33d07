"""Loss-sensitive GAN: the hinge of each pair, the margin by distance, the game."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.models.lsgan_loss_sensitive import LossSensitiveGAN

CONTRACT = {
    # A loss: low for what is real.
    "replace_score": lambda rows, outputs, score: -score if outputs.shape[-1] == 1 else None,
}


def small(**settings):
    return LossSensitiveGAN(image_shape=(8, 8, 1), latent_dim=4, width=4, **settings)


def critic_loss(real_loss, fake_loss, distance, margin=1e-3, loss_weight=0.0):
    """The critic's terms of given losses and L1 distances of pairs; its slopes in the losses."""
    n = len(real_loss)
    losses = [tf.constant(x, "float32")[:, tf.newaxis] for x in (real_loss, fake_loss)]
    given = iter(losses)
    model = small(margin=margin, loss_weight=loss_weight)
    real = tf.random.uniform([n, 8, 8, 1], -1, 1)
    shift = tf.constant(distance, "float32")[:, tf.newaxis, tf.newaxis, tf.newaxis] / 64
    model.generator = lambda z, training: real - shift  # 64 pixels, each differs by distance / 64
    model.discriminator = lambda images, training: next(given)
    with tf.GradientTape() as tape:
        tape.watch(losses)
        terms = model.discriminator_loss(real, tf.zeros([n, 4]))
        total = tf.add_n(list(terms.values()))
    return {k: float(v) for k, v in terms.items()}, tape.gradient(total, losses)


@pytest.mark.parametrize("fake_loss, violation", [(0.5, 0.0), (0.1, 0.2), (0.3, 0.0), (0.25, 0.05)])
def test_violation_of_a_margin(fake_loss, violation):
    """margin * distance = 0.1 and L(x) = 0.2: [0.1 + 0.2 - L(G(z))]+."""
    terms, _ = critic_loss([0.2], [fake_loss], [100.0])
    assert terms["margin"] == pytest.approx(violation, abs=1e-5)


def test_twice_the_distance_is_twice_the_margin():
    """L(x) = L(G(z)), so the term is the margin itself: a sum over pixels, not a mean."""
    for distance in (0.0, 40.0, 80.0):
        terms, _ = critic_loss([0.7], [0.7], [distance], margin=2e-4)
        assert terms["margin"] == pytest.approx(2e-4 * distance, abs=1e-7)


def test_each_pair_has_its_own_hinge():
    """Satisfied pairs have no slope and violated ones 1/N; their mean would hide a violation."""
    real_loss, fake_loss, distance = [0.2, 0.2, 1.0, 0.0], [9.0, 0.1, 0.5, 3.0], [100.0] * 4
    terms, (by_real, by_fake) = critic_loss(real_loss, fake_loss, distance)
    assert terms["margin"] == pytest.approx((0.0 + 0.2 + 0.6 + 0.0) / 4, abs=1e-5)
    np.testing.assert_allclose(by_real[:, 0], [0.0, 0.25, 0.25, 0.0], atol=1e-7)
    np.testing.assert_allclose(by_fake[:, 0], [0.0, -0.25, -0.25, 0.0], atol=1e-7)


def test_distances_belong_to_pairs_of_one_place():
    """Only the pair of distance 300 breaks its margin; a mean distance would break both."""
    terms, (by_real, _) = critic_loss([0.0, 0.0], [0.1, 0.1], [0.0, 300.0])
    assert terms["margin"] == pytest.approx((0.3 - 0.1) / 2, abs=1e-5)
    np.testing.assert_allclose(by_real[:, 0], [0.0, 0.5], atol=1e-7)


def test_weight_of_the_loss_of_real_images():
    """Without a violation only the mean loss of real images remains; its weight is 0 at first."""
    terms, (by_real, by_fake) = critic_loss([0.2, 0.4], [9.0, 9.0], [0.0, 0.0], loss_weight=2.0)
    assert terms == {"margin": 0.0, "real": pytest.approx(0.6)}
    np.testing.assert_allclose(by_real[:, 0], [1.0, 1.0])
    assert not by_fake.numpy().any()
    assert LossSensitiveGAN().loss_weight == 0.0


def test_losses_are_never_negative():
    model = small()
    images = 3.0 * tf.random.normal([64, 8, 8, 1])
    loss = model.discriminator(images, training=True).numpy()
    assert (loss >= 0.0).all() and (loss == 0.0).any() and (loss > 0.0).any()


def test_g_follows_its_loss_and_no_distance():
    """G's loss is the mean of L(G(z)), its slopes are 1/N; the margin pulls G nowhere."""
    model, loss = small(margin=1e3), tf.constant([[0.5], [1.5]])
    model.discriminator = lambda images, training: loss + 0.0 * tf.reduce_sum(images)
    values = [w.value for w in model.generator.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([loss, *values])
        terms = model.generator_loss(tf.random.normal([2, 4]))
    by_loss, *by_weights = tape.gradient(terms["fake"], [loss, *values])
    assert list(terms) == ["fake"] and float(terms["fake"]) == pytest.approx(1.0)
    np.testing.assert_allclose(by_loss[:, 0], [0.5, 0.5])
    assert not any(np.any(gradient) for gradient in by_weights)


def test_both_moves_are_about_the_same_images():
    model, moves = small(), []
    model.update = lambda player, loss, *tensors: moves.append((player, loss, tensors)) or {}
    with random.scope(0):
        model.train_step({"image": tf.zeros([3, 8, 8, 1])})
    (d, d_loss, (_, for_d)), (g, g_loss, (for_g,)) = moves
    assert (d, d_loss) == ("discriminator", model.discriminator_loss)
    assert (g, g_loss) == ("generator", model.generator_loss)
    assert for_d.shape == (3, 4) and for_d is for_g


def test_setting_of_the_authors_code():
    model = LossSensitiveGAN()
    shapes = [tuple(w.shape) for w in model.discriminator.trainable_variables if len(w.shape) > 2]
    assert shapes == [(4, 4, 3, 64), (4, 4, 64, 128), (4, 4, 128, 256), (4, 4, 256, 512)]
    kernels = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 4 * 4 * 512
    gains = 2 * (128 + 256 + 512)
    counts = [
        sum(int(np.prod(w.shape)) for w in network.trainable_variables)
        for network in (model.discriminator, model.generator)
    ]
    # No biases but those of the normalizations; z becomes a grid of 4x4x512.
    assert counts[0] == kernels + gains
    assert counts[1] == 100 * 16 * 512 + kernels - 16 * 512 + gains + 2 * 64
    assert (model.margin, model.prior) == (2e-4, (-1.0, 1.0))
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
        assert float(optimizer.learning_rate) == pytest.approx(1e-4)
