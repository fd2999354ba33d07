"""CoGAN: which weights are shared, one z for both domains, and four terms of the game."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.cogan import CoGAN

CONTRACT = {
    # Both scores of D; the terms of both domains pull the same way.
    "served": ["generator"],
}


def small(**settings):
    return CoGAN(
        **{
            "image_shape": (16, 16, 1),
            "latent_dim": 4,
            "generator_channels": (8, 4),
            "discriminator_channels": (4, 4),
            "dense_width": 8,
            "weight_decay": 0.0,
        }
        | settings
    )


def reached(network, inputs, which):
    """Which weights of a network the output `which` depends on, as a set of paths."""
    values = [w.value for w in network.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(values)
        out = tf.reduce_sum(network(inputs, training=False)[which] ** 2)
    gradients = tape.gradient(out, values)
    return {
        w.path for w, g in zip(network.trainable_variables, gradients, strict=True) if g is not None
    }


def test_the_generators_share_all_but_the_last_layer():
    network = small().generator
    z = tf.random.normal([2, 4])
    a, b = reached(network, z, 0), reached(network, z, 1)
    own = {w.path for layer in network.layers[-8:] for w in layer.trainable_variables}
    assert a | b == {w.path for w in network.trainable_variables}
    assert len(a - b) == len(b - a) == 2 and (a ^ b) <= own  # kernel and bias


def test_the_discriminators_share_all_but_the_first_layer():
    network = small().discriminator
    images = [tf.random.normal([2, 16, 16, 1]) for _ in range(2)]
    a, b = reached(network, images, 0), reached(network, images, 1)
    assert len(a - b) == len(b - a) == 2
    assert len(a & b) == 7  # kernels and biases of three layers, and the slopes


def test_shared_weights_are_counted_and_moved_once():
    model = small()
    for player in model.players():
        weights = model.weights_of(player)
        assert len({id(w) for w in weights}) == len(weights)
    model.compile(run_eagerly=True)
    model.optimizers["generator"].build(model.weights_of("generator"))
    before = {w.path: w.numpy() for w in model.weights_of("generator")}
    image = tf.random.uniform([4, 16, 16, 1], -1, 1)
    model.train_on_batch({"a": image, "b": image})
    moved = [np.abs(w - before[w.path]).max() for w in model.weights_of("generator")]
    assert max(moved) < 2.1e-4  # the first step of Adam is its rate


def test_one_domain_teaches_the_other():
    """A step on the first domain's images changes what the second generator makes."""
    model, z = small(), tf.random.normal([4, 4])
    before = model.pair(z)["b"].numpy()
    values = [w.value for w in model.generator.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = tf.reduce_mean(model.generator(z, training=True)[0])
    for w, g in zip(model.generator.trainable_variables, tape.gradient(loss, values), strict=True):
        if g is not None:
            w.assign_sub(g)
    assert np.abs(model.pair(z)["b"] - before).max() > 1e-4


def test_the_same_last_layer_makes_the_same_image():
    model, z = small(), tf.random.normal([3, 4])
    first, second = (
        next(
            layer
            for layer in reversed(model.generator.layers)
            if "transpose" in layer.name and w_of(model, z, layer, which)
        )
        for which in (0, 1)
    )
    assert first is not second
    made = model.pair(z)
    assert np.abs(made["a"] - made["b"]).max() > 1e-3
    second.set_weights(first.get_weights())
    made = model.pair(z)
    np.testing.assert_allclose(made["a"], made["b"], atol=1e-6)


def w_of(model, z, layer, which):
    """True if only the output `which` depends on a layer."""
    path = layer.kernel.path
    return [path in reached(model.generator, z, k) for k in (0, 1)] == [k == which for k in (0, 1)]


def test_four_terms_and_their_signs():
    model = small()
    scores = iter([[[1.0], [2.0]], [[3.0], [-4.0]], [[0.5], [-0.5]]])
    model.discriminator = lambda images, training: [tf.fill([4, 1], s[0]) for s in next(scores)]
    image = tf.zeros([4, 16, 16, 1])
    with random.scope(0):
        d, g = model.discriminator_loss(image, image), model.generator_loss(4)

    def softplus(x):
        return pytest.approx(math.log1p(math.exp(x)), abs=1e-6)

    assert {k: float(v) for k, v in d.items()} == {
        "real_a": softplus(-1.0),
        "real_b": softplus(-2.0),
        "fake_a": softplus(3.0),
        "fake_b": softplus(-4.0),
    }
    assert {k: float(v) for k, v in g.items()} == {
        "fake_a": softplus(-0.5),
        "fake_b": softplus(0.5),
    }


def test_each_image_meets_the_discriminator_of_its_domain():
    model, seen = small(), []
    model.discriminator = lambda images, training: seen.append(images) or [tf.zeros([4, 1])] * 2
    a, b = tf.fill([4, 16, 16, 1], 0.25), tf.fill([4, 16, 16, 1], -0.5)
    with random.scope(0):
        model.discriminator_loss(a, b)
        model.generator_loss(4)
    np.testing.assert_array_equal(seen[0][0], a)
    np.testing.assert_array_equal(seen[0][1], b)
    with random.scope(0):
        fakes = [*model.generator(model.latents(4), training=True)]
        fakes += model.generator(model.latents(4), training=True)
    # Both fakes are of the same latents, in the moves of both players.
    for found, expected in zip([*seen[1], *seen[2]], fakes, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_decay_counts_shared_weights_once():
    model = small(weight_decay=0.1)
    squares = sum(float(tf.reduce_sum(w**2)) for w in model.discriminator.trainable_variables)
    assert float(model.decay("discriminator", 0.1)["decay"]) == pytest.approx(
        0.05 * squares, rel=1e-5
    )


def test_pairs_have_one_latent():
    model = small()
    pair, again = model.sample_pair(3, seed=5), model.sample_pair(3, seed=5)
    for domain in ("a", "b"):
        np.testing.assert_array_equal(pair[domain], again[domain])
    with random.scope(5):
        z = model.latents(3)
    assert np.abs(model(z) - model.pair(z)["b"]).max() == 0.0
    with random.scope(0):
        rows = model.preview({})
        made = model.pair(tf.concat([model.latents(32)], axis=0))
    assert rows.shape == (8, 8, 16, 16, 1) and made["a"].shape == (32, 16, 16, 1)


def test_the_sizes_of_the_reference():
    """28x28: maps of 4, 7, 13, 25, a last kernel of 6; D's dense layer sees 4x4x50."""
    model = CoGAN()
    kernels = [w.shape for w in model.generator.trainable_variables if w.name == "kernel"]
    assert kernels == [
        (100, 16 * 1024),
        (3, 3, 512, 1024),
        (3, 3, 256, 512),
        (3, 3, 128, 256),
        (6, 6, 1, 128),
        (6, 6, 1, 128),
    ]
    kernels = sorted(
        tuple(w.shape) for w in model.discriminator.trainable_variables if w.name == "kernel"
    )
    assert kernels == [(5, 5, 1, 20), (5, 5, 1, 20), (5, 5, 20, 50), (500, 1), (800, 500)]
    assert model.generator.output[0].shape[1:] == (28, 28, 1)


def test_sizes_that_do_not_fit():
    with pytest.raises(BadInput, match="square images"):
        small(image_shape=(16, 32, 1))
    with pytest.raises(BadInput, match="13x13 pixels or more, not 8x8"):
        small(image_shape=(8, 8, 1), generator_channels=(8, 8, 4))


def test_the_start_of_the_reference():
    """Kernels: U(-a, a) with a^2 = 12 / (fans of the convolution there); one slope a layer."""
    model = CoGAN()
    fans = {
        (100, 16 * 1024): 16 * (100 + 1024),  # a kernel of 4x4
        (3, 3, 512, 1024): 9 * (512 + 1024),
        (3, 3, 256, 512): 9 * (256 + 512),
        (3, 3, 128, 256): 9 * (128 + 256),
        (6, 6, 1, 128): 36 * (1 + 128),
        (5, 5, 1, 20): 25 * (1 + 20),
        (5, 5, 20, 50): 25 * (20 + 50),
        (800, 500): 16 * (50 + 500),  # a kernel of 4x4
        (500, 1): 0.5 * (500 + 2),  # the difference of two outputs
    }
    slopes, biases = [], []
    for w in (*model.generator.trainable_variables, *model.discriminator.trainable_variables):
        values = w.numpy()
        if w.name == "kernel":
            wanted = (4.0 / fans[w.shape]) ** 0.5
            assert values.std() == pytest.approx(wanted, rel=0.01 + 2.0 * values.size**-0.5)
            assert np.abs(values).max() <= wanted * 3**0.5
        else:
            (biases if w.name == "bias" else slopes).append((w.shape, float(values.mean())))
    assert {tuple(shape) for shape, _ in slopes} == {(1, 1, 1), (1,)} and len(slopes) == 5
    assert {value for _, value in slopes} == {0.25}
    started = {shape: pytest.approx(0.1) for shape in ((1,), (20,), (50,), (500,))}
    for shape, value in biases[:-1]:
        assert value == started[tuple(shape)]
    assert biases[-1] == ((1,), 0.0) and len(biases) == 2 + 2 + 3
