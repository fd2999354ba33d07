"""DualGAN: kernels, normalization of single images, the critics' two kinds, weights of terms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import fit, new, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.dualgan import DualGAN, norm

CONTRACT = {
    "served": ["generator_ab", "generator_ba"],
    "rate": 1e-4,
    "games": [{}, {"critic": "clipped", "judged": "patches"}],
}


def small(**settings):
    return DualGAN(**{"image_shape": (32, 32, 3), "width": 4} | settings)


def pictures(seed, n=4):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, 32, 32, 3]), "float32")


def convs(network):
    kinds = keras.layers.Conv2D, keras.layers.Conv2DTranspose
    return [layer for layer in network.layers if isinstance(layer, kinds)]


def test_kernels_at_256():
    """5x5 for the first and the last convolution of each U-Net, 3x3 for the other fourteen."""
    with without_numbers():
        model = DualGAN()
    found = convs(model.generator_ab)
    assert [x.kernel_size[0] for x in found] == [5] + 14 * [3] + [5]
    assert [x.filters for x in found[:8]] == [64, 128, 256, 512, 512, 512, 512, 512]
    critic = convs(model.discriminator_a)
    assert [(x.kernel_size[0], x.filters) for x in critic] == [
        (5, 64),
        *[(3, f) for f in (128, 256, 512, 512)],
    ]
    assert model.discriminator_a.output_shape == (None, 1)
    with without_numbers():
        patches = DualGAN(judged="patches").discriminator_a
    assert patches.output_shape == (None, 4, 4, 1)
    sees, apart = 1, 1
    for layer in convs(patches):
        sees, apart = sees + (layer.kernel_size[0] - 1) * apart, 2 * apart
    assert sees == 129


def test_first_kernels_are_cut_normal_ones():
    for layer in convs(small(width=32).generator_ab)[1:-1]:
        kernel = layer.kernel.numpy()
        assert np.abs(kernel).max() <= 0.0401
        assert kernel.std() == pytest.approx(0.88 * 0.02, rel=0.03)


def test_each_image_of_a_batch_has_its_own_result():
    model, images = small(), pictures(0)
    for network in (model.generator_ab, model.discriminator_b):
        together = network(images, training=True)
        for k in range(4):
            alone = network(images[k : k + 1], training=True)
            np.testing.assert_allclose(together[k], alone[0], atol=1e-5)


def test_each_channel_is_normalized_by_itself():
    layer, x = norm(), np.random.RandomState(0).randn(2, 4, 4, 3) * [1, 5, 9] + [0, 3, 0]
    y = layer(x.astype("float32")).numpy() / layer.gamma.numpy()
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 2)), 1.0, atol=1e-4)


def test_the_innermost_map_is_normalized_and_scales_are_learned():
    """Each step but the first and the last has a normalization with a scale and a shift."""
    norms = [
        layer
        for layer in small().generator_ab.layers
        if isinstance(layer, keras.layers.GroupNormalization)
    ]
    assert len(norms) == 4 + 4 and all(len(x.trainable_variables) == 2 for x in norms)
    assert norms[3].input.shape[1:3] == (1, 1)
    gains = np.concatenate([x.gamma.numpy() for x in norms])
    assert 0.01 < gains.std() < 0.03 and gains.mean() == pytest.approx(1.0, abs=0.02)


def replaced(model, a_to_b, b_to_a, score=0.0):
    model.generator_ab = lambda image, training: a_to_b(image)
    model.generator_ba = lambda image, training: b_to_a(image)
    for name in ("discriminator_a", "discriminator_b"):
        setattr(model, name, lambda image, training: tf.fill([len(image), 1], score))
    return model


def test_recovery_weighs_500():
    """0 for generators that undo each other; 500 times the error else, linear in it."""
    a, b = pictures(1), pictures(2)
    same = replaced(small(), lambda x: -x, lambda x: -x, 0.0).generators_loss(a, b)
    assert sum(float(v) for v in same.values()) == 0.0

    def loss(error):
        model = replaced(small(), lambda x: x + error, lambda x: x)
        return float(model.generators_loss(a, b)["recovery"])

    assert loss(0.1) == pytest.approx(500 * 0.2, rel=1e-4)
    assert loss(0.2) == pytest.approx(2 * loss(0.1), rel=1e-4)


def test_critics_and_generators_pull_apart():
    """Critics lower the score of fakes and raise that of images; generators raise that of fakes."""
    a, b = tf.fill([4, 32, 32, 3], 0.5), tf.fill([4, 32, 32, 3], -0.5)
    model = replaced(small(critic="clipped"), lambda x: 0.0 * x + 0.2, lambda x: 0.0 * x - 0.3)
    for name in ("discriminator_a", "discriminator_b"):
        setattr(model, name, lambda image, training: tf.reduce_mean(image, axis=(1, 2, 3))[:, None])
    d = {k: float(v) for k, v in model.discriminators_loss(a, b).items()}
    assert d == pytest.approx({"real_a": -0.5, "fake_a": -0.3, "real_b": 0.5, "fake_b": 0.2})
    g = {k: float(v) for k, v in model.generators_loss(a, b).items()}
    assert (g["fake_a"], g["fake_b"]) == pytest.approx((0.3, -0.2))


def test_penalty_is_that_of_gradients_of_norm_one():
    """A critic 3 mean(x) at 32x32x3 has a gradient of norm 3 / sqrt(3072): 10 (1 - that)^2."""
    model = small()
    judge = lambda image, training: 3.0 * tf.reduce_mean(image, axis=(1, 2, 3))[:, None]  # noqa: E731
    model.discriminator_a = model.discriminator_b = judge
    with random.scope(0):
        terms = model.discriminators_loss(pictures(1), pictures(2))
    expected = 10 * (1 - 3 / 3072**0.5) ** 2
    assert float(terms["penalty_a"]) == pytest.approx(expected, rel=1e-4)
    assert float(terms["penalty_b"]) == pytest.approx(expected, rel=1e-4)


def test_clipped_critics_stay_in_the_cube():
    """After each move of the critics all their weights are within 0.01; three moves to one."""
    settings = {"critic": "clipped", "judged": "patches", "n_critic": 3}
    model, config, source = new("dualgan", **settings)
    moves = []
    for player, optimizer in model.optimizers.items():
        apply = optimizer.apply

        def watched(gradients, weights, player=player, apply=apply):
            moves.append(player)
            if player == "generators":
                for w in model.weights_of("discriminators"):
                    assert np.abs(w.numpy()).max() <= 0.01
            apply(gradients, weights)

        optimizer.apply = watched
    fit(model, config, source, 2)
    assert moves == 2 * [*3 * ["discriminators"], "generators"]


def test_optimizers_are_those_of_the_code():
    """RMSProp at 5e-5; a critic's gradients of 1e-5 move it as far as any others."""
    for optimizer in small().default_optimizers().values():
        assert type(optimizer) is keras.optimizers.RMSprop
        assert float(optimizer.learning_rate) == pytest.approx(5e-5) and optimizer.rho == 0.9
        weight = keras.Variable([0.0])
        square, expected = 0.0, 0.0
        for gradient in (1e-5, -2e-5, 5e-6):
            square = 0.9 * square + 0.1 * gradient**2
            expected -= 5e-5 * gradient / (square + 1e-10) ** 0.5
            optimizer.apply([tf.constant([gradient])], [weight])
        assert float(weight[0]) == pytest.approx(expected, rel=1e-4)


def test_words():
    with pytest.raises(BadInput, match="kind of critic named 'cliped'. Did you mean 'clipped'"):
        small(critic="cliped")
    with pytest.raises(BadInput, match="thing that is judged"):
        small(judged="pixels")
