"""Projection: the inner product with pooled features, the best D, labels, the game, the counts."""

import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm
from tiny import trainable, without_numbers

from tfgans import random, storage, training
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.layers.conditional_norm import ConditionalBatchNorm
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.projection import ProjectionGAN

CONTRACT = {"games": [{}, {"hinge": False}]}


def small(**settings):
    return ProjectionGAN(**{
        "image_shape": (8, 8, 1), "latent_dim": 4, "num_classes": 3, "generator_channels": (4, 4),
        "discriminator_channels": (4, 6), "discriminator_downs": 1,
    } | settings)  # fmt: skip


def randomize_biases(network):
    for w in network.trainable_variables:
        if len(w.shape) == 1:
            w.assign(tf.random.normal(w.shape))


def test_projection_is_an_inner_product_with_pooled_features():
    model = small()
    network = model.discriminator
    randomize_biases(network)
    psi, embedding = network.get_layer("psi"), network.get_layer("embedding")
    phi = keras.Model(network.inputs[0], psi.input)
    image = tf.random.normal([2, 8, 8, 1])
    scores = [network([image, tf.one_hot([k, k], 3)]).numpy()[:, 0] for k in range(3)]
    v, features = embedding(tf.eye(3)).numpy(), phi(image).numpy()
    for a, b in ((0, 1), (1, 2)):
        np.testing.assert_allclose(scores[a] - scores[b], features @ (v[a] - v[b]), atol=1e-5)
    mixed = network([image, tf.fill([2, 3], 1.0 / 3.0)]).numpy()[:, 0]
    np.testing.assert_allclose(mixed, np.mean(scores, axis=0), atol=1e-5)
    embedding.layer.kernel.assign(tf.ones_like(v))  # all classes alike: no dependence on y
    same = [network([image, tf.one_hot([k, k], 3)]).numpy() for k in range(3)]
    np.testing.assert_allclose(same[0], same[1], atol=1e-5)


@pytest.mark.parametrize("projection, expected", [(True, 1.1635), (False, 1.3863)])
def test_projection_is_the_form_of_the_optimal_discriminator(projection, expected):
    """x | y ~ N(y, 1), y = +-1; fakes N(0, 1): v = +-1, psi's bias -0.5, loss 1.1635.

    A linear D on [x, one-hot y] cannot do better than chance: 2 log 2.
    """
    x = norm.ppf((np.arange(1000) + 0.5) / 1000).astype("float32")[:, None]
    x, label = tf.concat([x, x], 0), tf.one_hot([0] * 1000 + [1] * 1000, 2)
    model = small(num_classes=2, hinge=False)
    v, bias = tf.Variable(tf.zeros([2, 1])), tf.Variable(0.0)
    linear = tf.Variable(0.0)

    def discriminator(inputs, training):
        x, y = inputs
        return bias + (x * (y @ v) if projection else x * linear + y @ v)

    model.discriminator = discriminator
    model.generate = lambda n: (x, label)
    real = x + (1.0 - 2.0 * label[:, 1:])
    for _ in range(150):
        with tf.GradientTape() as tape:
            loss = tf.add_n(list(model.discriminator_loss(real, label).values()))
        weights = [v, bias, linear]
        gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
        for w, gradient in zip(weights, gradients, strict=True):
            w.assign_sub(gradient)
    assert float(loss) == pytest.approx(expected, abs=0.005)
    if projection:
        np.testing.assert_allclose([*v.numpy()[:, 0], bias.numpy()], [1, -1, -0.5], atol=0.05)


def test_every_matrix_of_d_is_normalized_that_of_the_classes_too():
    network = small().discriminator
    wrapped = [w for w in network.layers if isinstance(w, SpectralNorm)]
    kernels = {id(layer.layer.weights[0]) for layer in wrapped}
    assert kernels == {id(w) for w in network.trainable_variables if len(w.shape) > 1}
    embedding = network.get_layer("embedding")
    assert embedding.layer.kernel.shape == (3, 6)
    for _ in range(100):
        embedding(tf.eye(3), training=True)  # a step of the power iteration
    v = embedding(tf.eye(3)).numpy()
    assert np.linalg.svd(v)[1][0] == pytest.approx(1.0, abs=1e-4)  # as a matrix, not row by row


def test_only_the_rows_of_used_classes_get_a_gradient():
    model = small()
    layer = next(w for w in model.generator.layers if isinstance(w, ConditionalBatchNorm))
    assert layer.gamma.shape == (3, 4)
    with tf.GradientTape() as tape:
        tape.watch(layer.gamma.value)
        image = model.generator([tf.random.normal([4, 4]), tf.one_hot([1] * 4, 3)], training=True)
        total = tf.reduce_sum(tf.square(image))
    gradient = np.abs(tape.gradient(total, layer.gamma.value)).max(axis=1)
    assert gradient[1] > 0 and gradient[0] == gradient[2] == 0


def test_losses_by_numbers():
    label = tf.one_hot([0, 1], 3)
    for hinge, total, g in ((True, 2.0, 0.0), (False, 1.386294, 0.693147)):
        model = small(hinge=hinge)
        model.discriminator = lambda inputs, training: tf.zeros([len(inputs[0]), 1])
        with random.scope(0):
            d = model.discriminator_loss(tf.zeros([2, 8, 8, 1]), label)
            assert float(model.generator_loss(8)["fake"]) == pytest.approx(g, abs=1e-6)
        assert float(d["real"] + d["fake"]) == pytest.approx(total, abs=1e-6)
    model = small()
    model.discriminator = lambda inputs, training: tf.reshape([3.0, -3.0, 0.5, -3.0], [4, 1])
    with random.scope(0):
        d = model.discriminator_loss(tf.zeros([2, 8, 8, 1]), label)
    assert float(d["real"]) == pytest.approx((0 + 4) / 2)  # satisfied beyond a margin of 1
    assert float(d["fake"]) == pytest.approx((1.5 + 0) / 2)


def test_d_judges_each_image_as_its_class():
    """Real images come with their labels, fakes with those that G was given."""
    model, seen = small(), []

    def generator(inputs, training):
        return tf.reshape(tf.argmax(inputs[1], axis=1, output_type="int32"), [-1, 1, 1, 1])

    def discriminator(inputs, training):
        seen.append((inputs[0].numpy().ravel(), tf.argmax(inputs[1], axis=1).numpy()))
        return tf.zeros([len(inputs[0]), 1])

    model.discriminator = discriminator
    model.generator = lambda inputs, training: tf.cast(generator(inputs, training), "float32")
    number = np.arange(6) % 3
    real = tf.constant(number.reshape(6, 1, 1, 1), "float32")
    with random.scope(0):
        model.discriminator_loss(real, tf.one_hot(number, 3))
        model.generator_loss(600)
    for image, label in seen:
        np.testing.assert_array_equal(image, label)
    share = np.bincount(seen[1][1], minlength=3) / 600
    np.testing.assert_allclose(share, 1 / 3, atol=0.08)


def test_generator_moves_first_then_five_moves_of_the_discriminator():
    model, moves = small(), []

    def recorded(player, loss, *args, n=None):
        moves.append((player, args if n is None else n))
        return {}

    model.update = recorded
    image = tf.random.uniform([20, 8, 8, 1], -1, 1)
    with random.scope(0):
        model.train_step({"image": image, "label": tf.range(20) % 2})
    assert [player for player, _ in moves] == ["generator"] + ["discriminator"] * 5
    assert moves[0][1] == 8  # twice a discriminator's batch of 4
    for k, (_, (real, label)) in enumerate(moves[1:]):
        noise = real.numpy() - ((image.numpy()[k::5] + 1) * 127.5 / 128 - 1)
        assert noise.min() >= -1e-6 and noise.max() <= 1 / 128 + 1e-6 and noise.std() > 1e-3
        np.testing.assert_array_equal(np.argmax(label, 1), np.arange(k, 20, 5) % 2)


def test_networks_for_cifar_10():
    """The counts of the authors' networks."""
    with without_numbers():
        model = ProjectionGAN(**Config.load("projection-cifar").model)
    assert trainable(model.generator) == 4_304_387
    assert trainable(model.discriminator) == 1_055_104
    conditional = [w for w in model.generator.layers if isinstance(w, ConditionalBatchNorm)]
    assert [tuple(w.gamma.shape) for w in conditional] == [(10, 256)] * 6  # not the last one


def test_networks_for_imagenet():
    """The counts of the authors' networks, which are the defaults."""
    with without_numbers():
        model = ProjectionGAN()
    assert trainable(model.generator) == 41_996_931
    assert trainable(model.discriminator) == 30_041_857
    for player, updates in (("discriminator", 5), ("generator", 1)):
        optimizer = model.default_optimizers()[player]
        assert (optimizer.beta_1, optimizer.beta_2) == (0.0, 0.9)
        rates = [float(optimizer._learning_rate(s * updates)) for s in (0, 400_000, 425_000)]
        np.testing.assert_allclose(rates, [2e-4, 2e-4, 1e-4], rtol=1e-4)


def test_a_model_that_was_saved_as_sngan(tmp_path):
    """Its file is from the last version in which SNGAN had this discriminator."""
    saved = pathlib.Path(__file__).parents[1] / "reliability/version_0_2/sngan.keras"
    model = storage.read(saved)
    assert type(model) is ProjectionGAN and model.num_classes == 3
    image = model.sample(3, seed=0).numpy()
    expected = np.load(saved.with_suffix(".npz"))
    np.testing.assert_allclose(image, expected["image"], atol=1e-6)
    score = model.discriminator([tf.constant(expected["image"]), tf.eye(3)], training=False)
    np.testing.assert_allclose(score, expected["score"], atol=1e-6)
    assert int(model.step.numpy()) == 2
    data = {"image": tf.random.uniform([8, 8, 8, 1], -1, 1), "label": tf.range(8) % 3}
    model.run_eagerly = True
    model.train_on_batch(data)


def test_a_run_that_was_begun_as_sngan_goes_on(tmp_path):
    """Its config.yaml has to say `architecture: projection` now."""
    saved = pathlib.Path(__file__).parents[1] / "reliability/version_0_2/sngan.keras"
    (tmp_path / "snapshots").mkdir()
    shutil.copy(saved, tmp_path / "snapshots/00000002.keras")
    model = storage.read(saved)
    settings = Config.from_dict({
        "architecture": "projection",
        "model": {k: v for k, v in model.get_config().items() if k not in ("name", "dtype")},
        "data": {"path": "synthetic", "labels": True, "batch_size": 8},
        "train": {"steps": 3, "tick": 3},
    })  # fmt: skip
    assert training.train(settings, tmp_path)
    after = storage.read(tmp_path / "snapshots/00000003.keras")
    assert int(after.step.numpy()) == 3
    for old, new in zip(model.weights_of("generator"), after.weights_of("generator"), strict=True):
        assert np.abs(old - new).max() < 0.01  # one step from where it was


def test_labels_that_do_not_fit():
    with pytest.raises(BadInput, match="from 0 to 2"):
        small().sample(1, labels=[3])
    with pytest.raises(BadInput, match="No labels were given"):
        small()(tf.zeros([1, 4]))
