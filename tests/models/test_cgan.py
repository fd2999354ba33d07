"""CGAN: the best D by numbers, labels in every layer of both players, wrong labels, networks."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.cgan import CGAN, with_label
from tfgans.optimizers import Adam

CONV = {"architecture": "conv", "width": 4, "dense_width": 6}
CONTRACT = {
    "games": [{}, {"matching_aware": True}, CONV],
    "like_one_device": CONV,  # dropout differs
}
BOTH = pytest.mark.parametrize("architecture", ["dense", "conv"])


def small(architecture="conv", **settings):
    sizes = {"latent_dim": 4, "num_classes": 3, "width": 4, "dense_width": 6}
    sizes |= {"generator_units": (6, 5, 8), "discriminator_units": (8, 4, 6), "decay_weight": 0.0}
    return CGAN(image_shape=(8, 8, 1), architecture=architecture, **(sizes | settings))


# A world of two images and two labels: x and y are 0 or 1, and x = y in all real pairs.


class Table(keras.layers.Layer):
    """D(x, y), a number for each pair of an image (its first pixel) and a label."""

    def __init__(self, blind):
        super().__init__()
        self.blind = blind

    def build(self, shape):
        self.scores = self.add_weight(shape=(2, 2), initializer="zeros")

    def call(self, inputs, training=False):
        x = tf.one_hot(tf.cast(inputs[0][:, 0, 0, 0], "int32"), 2)
        y = 0.5 * tf.ones_like(inputs[1]) if self.blind else inputs[1]
        return tf.einsum("nx,xy,ny->n", x, tf.convert_to_tensor(self.scores), y)[:, tf.newaxis]


def best_loss(blind, matching_aware=False):
    """The sum of D's terms after its training; fakes are 0 or 1, whatever their label."""
    model = small(num_classes=2, matching_aware=matching_aware)
    x = np.arange(64) % 2
    real = tf.constant(x.reshape(-1, 1, 1, 1) * np.ones([1, 8, 8, 1]), "float32")
    label = tf.one_hot(x, 2)
    fakes = tf.constant((np.arange(64) // 2 % 2).reshape(-1, 1, 1, 1), "float32")
    model.generator = lambda inputs, training: fakes
    model.discriminator = Table(blind)
    model.discriminator.build(None)
    optimizer = model.optimizers["discriminator"] = keras.optimizers.SGD(4.0)
    optimizer.build(model.weights_of("discriminator"))

    @tf.function(autograph=False)
    def step():
        with random.scope(0):
            return model.update("discriminator", model.discriminator_loss, real, label)

    for _ in range(400):
        logs = step()
    return float(tf.add_n(list(logs.values())))


@pytest.mark.parametrize(
    "blind, matching_aware, loss",
    [
        (False, False, 0.954770),  # 2 ln 2 - 2 JSD, with a divergence of 0.215762
        (True, False, 1.386294),  # the images alone are the same: 2 ln 2
        (False, True, -math.log(0.8) - 0.25 * math.log(0.2)),  # less, wrong labels are all wrong
        (True, True, 1.386294),
    ],
)
def test_the_best_d_looks_at_the_label(blind, matching_aware, loss):
    assert best_loss(blind, matching_aware) == pytest.approx(loss, abs=0.005)


@BOTH
def test_both_players_depend_on_the_label(architecture):
    """Other labels, other answers; and both have a slope in the label."""
    model = small(architecture)
    z, image = tf.random.uniform([5, 4]), tf.random.uniform([5, 8, 8, 1], -1, 1)
    first, second = (tf.one_hot([k] * 5, 3) for k in (0, 2))
    for network, x in ((model.generator, z), (model.discriminator, image)):
        difference = network([x, first], training=False) - network([x, second], training=False)
        size = tf.reduce_max(tf.abs(network([x, first], training=False)))
        assert float(tf.reduce_max(tf.abs(difference))) > 1e-3 * float(size)
        with tf.GradientTape() as tape:
            tape.watch(first)
            total = tf.reduce_sum(tf.square(network([x, first], training=False)))
        assert (np.abs(tape.gradient(total, first)).max(axis=1) > 0).all()


def test_the_label_enters_every_layer():
    """Each kernel has K more inputs than features come in."""
    model = CGAN(architecture="conv")
    shapes = {
        name: [tuple(w.shape) for w in network.trainable_variables]
        for name, network in (("g", model.generator), ("d", model.discriminator))
    }
    assert shapes["g"] == [(110, 1024), (1034, 6272), (5, 5, 64, 138), (5, 5, 1, 74)]
    assert shapes["d"] == [(5, 5, 11, 64), (5, 5, 74, 128), (6282, 1024), (1034, 1)]


def test_label_planes_are_constant():
    x = tf.random.normal([2, 3, 5, 4])
    found = with_label(x, tf.one_hot([2, 0], 3)).numpy()
    np.testing.assert_array_equal(found[..., :4], x)
    np.testing.assert_array_equal(found[0, ..., 4:], np.broadcast_to([0, 0, 1], [3, 5, 3]))
    np.testing.assert_array_equal(found[1, ..., 4:], np.broadcast_to([1, 0, 0], [3, 5, 3]))


@pytest.mark.parametrize("matching_aware", [False, True])
def test_g_and_d_get_the_same_label_of_a_fake(matching_aware):
    """G makes class y, D judges it as class y; wrong labels come with real images alone."""
    model, made, judged = small("dense", matching_aware=matching_aware), [], []
    label = tf.one_hot([0, 1, 2, 1], 3)
    real = tf.ones([4, 8, 8, 1])

    def generator(inputs, training):
        made.append(inputs[1].numpy())
        return tf.zeros([4, 8, 8, 1])

    def discriminator(inputs, training):
        judged.append((float(inputs[0][0, 0, 0, 0]), inputs[1].numpy()))
        return tf.zeros([4, 1])

    model.generator, model.discriminator = generator, discriminator
    with random.scope(0):
        model.discriminator_loss(real, label)
        model.generator_loss(label)
    for given in made:
        np.testing.assert_array_equal(given, label)
    assert [image for image, _ in judged] == [1.0, 0.0] + [1.0] * matching_aware + [0.0]
    for _, given in judged[:2] + judged[-1:]:
        np.testing.assert_array_equal(given, label)
    if matching_aware:
        assert not np.any(judged[2][1].argmax(axis=1) == np.array([0, 1, 2, 1]))


def test_wrong_labels_are_all_others_alike():
    model = small(num_classes=4)
    with random.scope(0):
        wrong = model.wrong_label(tf.one_hot([1] * 6000, 4)).numpy()
    np.testing.assert_allclose(wrong.mean(axis=0), [1 / 3, 0, 1 / 3, 1 / 3], atol=0.02)


def test_losses_where_d_is_undecided():
    """2 ln 2 in all with two kinds of fakes as with one, and ln 2 for G."""
    label = tf.one_hot([0, 1], 3)
    for matching_aware in (False, True):
        model = small("dense", matching_aware=matching_aware)
        model.discriminator = lambda inputs, training: tf.zeros([2, 1])
        with random.scope(0):
            d = model.discriminator_loss(tf.zeros([2, 8, 8, 1]), label)
            g = model.generator_loss(label)
        assert sum(map(float, d.values())) == pytest.approx(1.386294, abs=1e-6)
        assert sum(map(float, g.values())) == pytest.approx(0.693147, abs=1e-6)


def test_weights_decay_in_the_convolutional_networks():
    model = small(decay_weight=0.5)
    squares = sum(float(tf.reduce_sum(tf.square(w))) for w in model.generator.trainable_variables)
    assert float(model.decay("generator", model.decayed)["decay"]) == pytest.approx(
        0.25 * squares, rel=1e-5
    )
    assert small("dense", decay_weight=0.5).decayed == 0.0


@pytest.mark.slow
def test_each_class_is_made_where_it_lies():
    """Eight classes on a circle: G's means are at their centers; with shuffled labels they are not.

    Networks of two layers of 64 units, 1,500 steps (about ten seconds).
    """

    def network(inputs, outputs, name):
        x, label = keras.Input(inputs), keras.Input([8])
        y = keras.layers.Concatenate()([keras.layers.Flatten()(x), label])
        y = keras.layers.Dense(64, "relu")(keras.layers.Dense(64, "relu")(y))
        y = keras.layers.Reshape(outputs)(keras.layers.Dense(math.prod(outputs))(y))
        return keras.Model([x, label], y, name=name)

    turns = 2 * np.pi * np.arange(8) / 8
    centers = 2.0 * np.stack([np.cos(turns), np.sin(turns)], axis=1)

    def distances(shuffled):
        keras.utils.set_random_seed(0)
        model = small(num_classes=8, latent_dim=8)
        model.generator = network([8], (1, 1, 2), "generator")
        model.discriminator = network([1, 1, 2], (1,), "discriminator")
        model.compile({player: Adam(1e-3, beta_1=0.5) for player in model.players()})
        keys = np.random.RandomState(0)
        model.image_shape = (1, 1, 2)
        form = {"image": tf.TensorSpec([256, 1, 1, 2]), "label": tf.TensorSpec([256], "int64")}
        step = model._graph(form, model._moves)
        for _ in range(1500):
            number = keys.randint(8, size=256)
            point = centers[number] + 0.05 * keys.randn(256, 2)
            given = keys.permutation(number) if shuffled else number
            data = {"image": point.reshape(256, 1, 1, 2), "label": given}
            step({"image": tf.constant(data["image"], "float32"), "label": tf.constant(given)})
            model.step.assign_add(1)
        z = tf.random.stateless_uniform([256, 8], [0, 0], *model.prior)
        means = [
            np.mean(model.generator([z, tf.one_hot([k] * 256, 8)]), axis=(0, 1, 2))
            for k in range(8)
        ]
        return np.linalg.norm(means - centers, axis=1)

    near = distances(shuffled=False)
    assert np.sum(near < 0.3) >= 7, near
    assert np.sum(distances(shuffled=True) < 0.3) <= 2


def test_setting_of_the_paper():
    model = CGAN()
    shapes = [tuple(w.shape) for w in model.generator.trainable_variables if len(w.shape) > 1]
    assert shapes == [(100, 200), (10, 1000), (1200, 1200), (1200, 784)]
    shapes = [tuple(w.shape) for w in model.discriminator.trainable_variables if len(w.shape) > 1]
    assert shapes == [(784, 1200), (10, 250), (290, 960), (240, 1)]
    assert model.prior == (0.0, 1.0)
    for optimizer in model.default_optimizers().values():
        rates = [float(optimizer._learning_rate(step)) for step in (0, 1, 1000)]
        expected = [0.1, 0.1 / 1.00004, 0.1 / 1.00004**1000]
        np.testing.assert_allclose(rates, expected, rtol=1e-5)
        assert (optimizer.momentum, optimizer.final_momentum) == (0.5, 0.7)


def test_setting_of_the_code():
    model = CGAN(architecture="conv")
    assert (model.prior, model.decay_weight) == ((-1.0, 1.0), 2.5e-5)
    for optimizer in model.default_optimizers().values():
        assert optimizer.beta_1 == 0.5
        rates = [float(optimizer._learning_rate(step)) for step in (0, 19_500, 39_000)]
        np.testing.assert_allclose(rates, [2e-4, 2e-4, 0.0], atol=1e-9)


def test_bad_arguments_and_labels():
    with pytest.raises(BadInput, match="dense"):
        small("densely")
    with pytest.raises(BadInput, match="num_classes = 2 or more, not 1"):
        small(num_classes=1)
    model = small()
    with pytest.raises(BadInput, match="from 0 to 2"):
        model.sample(2, labels=[0, 3])
    with pytest.raises(BadInput, match="No labels were given"):
        model(tf.zeros([2, 4]))
