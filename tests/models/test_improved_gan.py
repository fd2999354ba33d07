"""Improved GAN: each of the five techniques by numbers known beforehand, and its switch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.weight_norm import WeightNorm, initialize
from tfgans.models.improved_gan import ImprovedGAN, MinibatchDiscrimination
from tfgans.optimizers import HoldThenDecay

CONTRACT = {
    "games": [{"feature_matching": None}],  # matching features uses no score
    "like_one_device": {"reference_size": 0, "minibatch_kernels": 0, "feature_matching": None},
}


def small(**settings):
    sizes = {"latent_dim": 4, "generator_width": 4, "discriminator_width": 4, "reference_size": 3}
    sizes |= {"minibatch_kernels": 3, "generator_moves": 1}
    return ImprovedGAN(image_shape=(12, 12, 1), **(sizes | settings))


def batch(n=6):
    return tf.random.uniform([n, 12, 12, 1], -1, 1)


# Minibatch discrimination


def test_closeness_counts_the_other_samples():
    """N - 1 for each kernel where all rows are equal, 0 where they are far apart."""
    layer = MinibatchDiscrimination(kernels=5, kernel_dim=3)
    row = tf.random.normal([1, 7])
    equal = layer(tf.repeat(row, 8, axis=0)).numpy()
    np.testing.assert_allclose(equal[:, 7:] - layer.bias.numpy(), 7.0, atol=1e-5)
    far = layer(1e3 * tf.random.normal([8, 7])).numpy()
    np.testing.assert_allclose(far[:, 7:], -1.0, atol=1e-6)  # the bias alone
    np.testing.assert_array_equal(equal[:, :7], tf.repeat(row, 8, axis=0))


def test_closeness_follows_its_formula_and_the_order_of_the_batch():
    layer, x = MinibatchDiscrimination(kernels=5, kernel_dim=3), tf.random.normal([6, 7])
    y = layer(x).numpy()
    order = np.array([3, 1, 5, 0, 2, 4])
    np.testing.assert_allclose(layer(tf.gather(x, order)), y[order], atol=1e-5)
    kernel = layer.kernel.numpy()
    m = np.einsum("na,abc->nbc", x, kernel / np.sqrt(np.sum(kernel**2, axis=0)))
    for i in range(6):
        others = [j for j in range(6) if j != i]
        expected = sum(np.exp(-np.abs(m[i] - m[j]).sum(axis=1)) for j in others)  # L1
        np.testing.assert_allclose(y[i, 7:], expected - 1.0, atol=1e-5)


def test_closeness_starts_neutral():
    layer, x = MinibatchDiscrimination(kernels=5, kernel_dim=3), tf.random.normal([32, 7])
    layer(x)
    layer.initialize(x)
    np.testing.assert_allclose(tf.reduce_mean(layer(x)[:, 7:], axis=0), 0.0, atol=1e-5)
    closest = tf.reduce_mean(tf.reduce_min(layer.distances(x), axis=1), axis=0)
    np.testing.assert_allclose(closest, 2.0, rtol=1e-4)


def test_real_and_fake_batches_are_compared_apart():
    model, seen = small(history_weight=0.0), []
    discriminator = model.discriminator
    model.discriminator = lambda x, training: seen.append(len(x)) or discriminator(x)
    with random.scope(0):
        model.discriminator_loss(batch(6))
    assert seen == [6, 6]


# Virtual batch normalization


@pytest.mark.parametrize("reference_size", [3, 0])
def test_samples_do_not_depend_on_their_batch(reference_size):
    """Unlike with batch normalization, which fails the same check."""
    model = small(reference_size=reference_size)
    z, other = tf.random.uniform([2, 5, 4])
    other = tf.concat([other[:2], z[2:3], other[3:]], axis=0)
    image = model.generator(z, training=True)[2]
    difference = np.abs(image - model.generator(other, training=True)[2]).max()
    assert difference < 1e-6 if reference_size else difference > 1e-4


# Historical averaging


def test_history_on_a_script():
    """theta = 0, 3: the mean is 1.5, the cost (3 - 1.5)^2 = 2.25, its gradient 3."""
    model = small(history_weight=1.0)
    theta = keras.Variable([0.0])
    model.weights_of = lambda player: [theta]
    model.weight_means = {"generator": [model.add_state("mean", 0.0, shape=[1])]}
    model.remember()
    assert float(model.history_loss("generator")["history"]) == 0.0
    theta.assign([3.0])
    model.step.assign(1)
    model.remember()
    with tf.GradientTape() as tape:
        loss = model.history_loss("generator")["history"]
    assert float(loss) == pytest.approx(2.25)
    np.testing.assert_allclose(tape.gradient(loss, theta.value), [3.0])


def test_history_of_a_run_is_the_mean_of_its_weights():
    model = small(history_weight=1.0)
    model.compile()
    seen, remember = [], model.remember

    def recorded():
        seen.append([w.numpy() for w in model.weights_of("discriminator")])
        remember()

    model.remember = recorded
    for step in range(2):
        model.now = step
        model.step.assign(step)
        with random.scope(0, step):
            logs = model.train_step({"image": batch()})
    means = [np.mean(values, axis=0) for values in zip(*seen, strict=True)]
    for mean, found in zip(means, model.weight_means["discriminator"], strict=True):
        np.testing.assert_allclose(found.numpy(), mean, atol=1e-6)
    expected = sum(np.sum((w - mean) ** 2) for w, mean in zip(seen[-1], means, strict=True))
    assert float(logs["discriminator/history"]) == pytest.approx(expected, rel=1e-4)
    assert "generator/history" in logs


# One-sided label smoothing


def test_optimal_discriminator_with_one_sided_smoothing():
    """D* = 0.9 p / (p + q): 0.45 where p = q, and towards 0, not 0.1, where only fakes are."""
    model = small(history_weight=0.0)
    p, q = np.array([3, 3, 1]), np.array([3, 1, 100])  # counts of three images
    table = tf.Variable(tf.math.log(0.9 * p / (p + q) / (1 - 0.9 * p / (p + q))))
    table = tf.Variable(tf.cast(table, "float32"))
    real, fake = np.repeat(np.arange(3), p), np.repeat(np.arange(3), q)
    model.generator = lambda z, training: tf.constant(fake)
    model.discriminator = lambda image, training: (tf.gather(table, image), None)
    with tf.GradientTape() as tape, random.scope(0):
        terms = model.discriminator_loss(tf.constant(real))
        # As densities: the mean over each batch counts its images.
        loss = len(real) * terms["real"] + len(fake) * terms["fake"]
    gradient = tf.convert_to_tensor(tape.gradient(loss, table))
    np.testing.assert_allclose(gradient, 0.0, atol=1e-4)
    probability = tf.sigmoid(table).numpy()
    assert probability[0] == pytest.approx(0.45) and probability[2] < 0.01


def test_losses_at_the_start():
    """An undecided D gives 2 log 2 with and without smoothing, and log 2 to G."""
    for target in (0.9, 1.0):
        model = small(real_target=target, history_weight=0.0)
        model.discriminator = lambda image, training: (tf.zeros([len(image), 1]), None)
        with random.scope(0):
            d, g = model.discriminator_loss(batch()), model.generator_loss(batch())
        assert float(sum(d.values())) == pytest.approx(1.386294, abs=1e-5)
        assert float(g["fake"]) == pytest.approx(0.693147, abs=1e-6)


# Feature matching


@pytest.mark.parametrize("kind, expected", [("squared", 0.3**2 + 0.5**2), ("absolute", 0.4)])
def test_distance_of_mean_features(kind, expected):
    model = small(feature_matching=kind, history_weight=0.0)
    real, fake = tf.constant([[1.0, 0.0], [0.6, 0.0]]), tf.constant([[0.5, 0.4], [0.5, 0.6]])
    model.generator = lambda z, training: fake
    model.discriminator = lambda image, training: (None, image)
    with random.scope(0):
        found = model.generator_loss(real)
    assert float(found["features"]) == pytest.approx(expected, rel=1e-5) and len(found) == 1


def test_matching_moves_only_the_generator_on_a_batch_of_its_own():
    model = small(feature_matching="squared")
    model.compile()
    images, update, seen = batch(8), model.update, {}

    def recorded(player, loss, *args):
        before = [w.numpy() for w in model.discriminator.weights]
        logs = update(player, loss, *args)
        after = [w.numpy() for w in model.discriminator.weights]
        same = all(map(np.array_equal, before, after))
        seen[player] = args[0].numpy(), same
        return logs

    model.update = recorded
    with random.scope(0):
        model.train_step({"image": images})
    assert seen["generator"][1] and not seen["discriminator"][1]
    np.testing.assert_array_equal(seen["discriminator"][0], images[::2])
    np.testing.assert_array_equal(seen["generator"][0], images[1::2])


def test_features_are_neither_the_score_nor_the_closeness():
    model = small(minibatch_kernels=3)
    score, features = model.discriminator(batch())
    assert score.shape == (6, 1) and features.shape == (6, 8)
    alone = model.discriminator(batch()[:1])[1]
    assert alone.shape == (1, 8)


# The rest of the setting


def test_first_batch_sets_the_scales():
    model = small(discriminator_width=16)
    images = batch(64)
    model.discriminator.layers[1].stddev = 0.0
    for layer in model.discriminator.layers:
        if "dropout" in layer.name:
            layer.rate = 0.0
    with random.scope(0):
        initialize(model.generator, model.latents(64))
        initialize(model.discriminator, images)
        x = images
        for layer in model.discriminator.layers[1:]:
            x = layer(x)
            if isinstance(layer, WeightNorm):
                mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
                np.testing.assert_allclose(mean, 0.0, atol=1e-3)
                np.testing.assert_allclose(tf.sqrt(variance), layer.start_std, rtol=1e-2)
        assert np.std(x) == pytest.approx(0.1, rel=0.05)  # scores


@pytest.mark.parametrize(
    "layer, plain, axes",
    [
        (WeightNorm(3, size=0), keras.layers.Dense(3), 0),
        (WeightNorm(3, strides=2), keras.layers.Conv2D(3, 3, 2, "same"), (0, 1, 2)),
        (
            WeightNorm(3, 5, 2, transposed=True),
            keras.layers.Conv2DTranspose(3, 5, 2, "same"),
            (0, 1, 3),
        ),
    ],
)
def test_weight_norm_is_the_layer_with_a_unit_weight(layer, plain, axes):
    x = tf.random.normal([2, 5] if axes == 0 else [2, 6, 6, 5])
    layer(x), plain(x)
    gain, bias = tf.random.normal([2, 3]).numpy()
    layer.gain.assign(gain)
    layer.bias.assign(bias)
    kernel = layer.kernel.numpy()
    norm = np.sqrt(np.sum(kernel**2, axis=axes, keepdims=True))
    plain.kernel.assign(kernel / norm * gain.reshape(norm.shape))
    plain.bias.assign(bias)
    np.testing.assert_allclose(layer(x), plain(x), atol=1e-3)


def test_three_moves_of_the_generator():
    model, moves = small(generator_moves=3, history_weight=0.0), []
    model.update = lambda player, loss, *args, n=None: moves.append(player) or {}
    with random.scope(0):
        model.train_step({"image": batch()})
    assert moves == ["discriminator"] + ["generator"] * 3


def test_learning_rate_holds_then_falls():
    rate = HoldThenDecay(3e-4, 800, 400)
    found = [float(rate(t)) for t in (0, 800, 1000, 1200, 1300)]
    np.testing.assert_allclose(found, [3e-4, 3e-4, 1.5e-4, 0, 0], atol=1e-10)
    optimizers = small(generator_moves=3).default_optimizers()
    for player, updates in (("discriminator", 600_000), ("generator", 1_800_000)):
        assert optimizers[player].beta_1 == 0.5
        rate = optimizers[player].get_config()["learning_rate"]["config"]
        assert rate["hold_steps"] + rate["decay_steps"] == updates
        assert rate["hold_steps"] == 2 * rate["decay_steps"]


def count(network):
    return sum(int(np.prod(w.shape)) for w in network.trainable_variables)


def test_networks_of_the_paper():
    """Trainable parameters of the CIFAR-10 networks, counted by hand."""
    generator = 100 * 8192 + 8192 + 25 * (512 * 256 + 256 * 128 + 128 * 3) + 256 + 128 + 2 * 3
    convs = 9 * (3 * 96 + 2 * 96**2 + 96 * 192 + 3 * 192**2) + 2 * 192**2 + 3 * 96 + 6 * 192
    closeness = 192 * 100 * 5 + 100 * 5 + 100
    model = ImprovedGAN(history_weight=0.0)
    assert count(model.generator) == generator == 4_933_382
    assert count(model.discriminator) == convs + closeness + (292 + 2) == 1_501_758
    assert model.generator_moves == 3
    plain = ImprovedGAN(minibatch_kernels=0, reference_size=0, history_weight=0.0)
    assert count(plain.generator) == generator
    assert count(plain.discriminator) == convs + (192 + 2)
    assert model.generator.layers[1].z.shape == (100, 100)
    with random.scope(0):
        z = model.latents(1000).numpy()
    assert z.min() >= 0 and z.max() <= 1


def test_errors():
    with pytest.raises(BadInput, match="Did you mean 'squared'"):
        small(feature_matching="square")
    with pytest.raises(BadInput, match="multiples of 8, not 33x33"):
        ImprovedGAN(image_shape=(33, 33, 1))


def test_one_example_initializes_nothing():
    model = small()
    model.compile(run_eagerly=True)
    with pytest.raises(BadInput, match="2 examples or more .* not 1"):
        model.train_on_batch({"image": batch(1)})


def test_the_discriminator_sees_images_with_noise():
    network, image = small().discriminator, tf.zeros([512, 12, 12, 1])
    seen = keras.Model(network.input, network.layers[2].input)  # of the first convolution
    with random.scope(0):
        noise = seen(image, training=True).numpy()
    assert noise.std() == pytest.approx(0.2, abs=0.002)
    np.testing.assert_array_equal(seen(image, training=False), image)
