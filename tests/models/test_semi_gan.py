"""Semi-supervised GAN: its losses by numbers, the class that is 0, feature matching, averages."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.semi_gan import SemiGAN

CONTRACT = {
    # log Z is the score of an image; matching features uses none.
    "replace_score": lambda rows, outputs, score: score - math.log(outputs.shape[-1]),
    "games": [{"feature_matching": None}],
    "like_one_device": {"feature_matching": None},
    "atol": {"gain": 5e-6},  # ten times the rounding of a gain of 1.7
    "served": ["generator", "discriminator_ema"],
}


def small(architecture="conv", **settings):
    sizes = {"generator_width": 4, "discriminator_width": 4, "latent_dim": 4, "num_classes": 10}
    sizes |= {"generator_units": (6,), "discriminator_units": (7, 5)}
    return SemiGAN(image_shape=(12, 12, 1), architecture=architecture, **(sizes | settings))


def losses(labeled, unlabeled, fake, label=0, **settings):
    """D's terms where each kind of image has one row of outputs for all four images."""
    model = small(**settings)
    rows = iter([labeled, unlabeled, fake])
    model.discriminator = lambda image, training: (
        tf.tile(tf.constant([next(rows)], "float32"), [4, 1]),
        tf.zeros([4, 8]),
    )
    image, one_hot = tf.zeros([4, 12, 12, 1]), model.one_hot(tf.fill([4], label))
    with random.scope(0):
        terms = model.discriminator_loss(image, one_hot, image)
    return {name: float(value) for name, value in terms.items()}


@pytest.mark.parametrize("fake_output", [False, True])
def test_losses_where_all_outputs_are_0(fake_output):
    """ln 10, and with the halves ln 11 - ln(10) / 2; D(x) = 10 / 11."""
    terms = losses(*[[0.0] * (10 + fake_output)] * 3, fake_output=fake_output)
    assert terms["classes"] == pytest.approx(2.302585, abs=1e-6)
    assert terms["real"] + terms["fake"] == pytest.approx(1.246603, abs=1e-6)
    assert math.exp(-2.0 * terms["real"]) == pytest.approx(10 / 11, abs=1e-6)
    assert math.exp(-2.0 * terms["fake"]) == pytest.approx(1 / 11, abs=1e-6)


def test_a_constant_on_all_classes_changes_d_alone():
    """Z = 10 exp(-5) = 0.067379, D = Z / (Z + 1) = 0.063126; the classes are as before."""
    terms = losses(*[[-5.0] * 10] * 3)
    assert terms["classes"] == pytest.approx(2.302585, abs=1e-6)
    assert math.exp(-2.0 * terms["real"]) == pytest.approx(0.063126, abs=1e-6)


def test_a_constant_on_all_of_eleven_outputs_changes_nothing():
    """Softmax over K + 1 outputs is the same after a shift; with the 0 in their place it is not."""
    rows = np.random.RandomState(0).randn(3, 11)
    first, second = (losses(*(rows + c), fake_output=True) for c in (0.0, 3.0))
    assert first == {name: pytest.approx(value, abs=1e-5) for name, value in second.items()}
    # The last output is the one for generated images: its share is 1 - D.
    share = np.exp(rows[2, 10]) / np.exp(rows[2]).sum()
    assert math.exp(-2.0 * first["fake"]) == pytest.approx(share, abs=1e-5)


def test_each_kind_of_image_has_its_term():
    """Labels are for labeled images; others are real in any class; generated ones are in none."""
    right = [8.0] + [-20.0] * 9
    terms = losses(right, [-20.0, 9.0] + [-20.0] * 8, [-9.0] * 10)
    assert all(value < 0.01 for value in terms.values())
    assert losses(right, right, right, label=3)["classes"] == pytest.approx(28.0, abs=1e-3)
    assert losses(right, [-9.0] * 10, right)["real"] == pytest.approx(3.35, abs=0.01)
    assert losses(right, right, right)["fake"] == pytest.approx(4.0, abs=0.01)


def test_a_plain_classifier_pays_for_labels_alone():
    rows = np.random.RandomState(0).randn(3, 10)
    terms, plain = losses(*rows), losses(*rows, unlabeled_weight=0.0)
    assert terms["classes"] == plain["classes"] > 0.0
    assert (plain["real"], plain["fake"]) == (0.0, 0.0)


@pytest.mark.parametrize("architecture", ["conv", "dense"])
def test_g_matches_features_and_no_output(architecture):
    """Other weights of the last layer leave G's gradient as it is; other features change it."""
    model = small(architecture)
    z, real = tf.random.uniform([6, 4]), tf.random.uniform([6, 12, 12, 1], -1, 1)
    model.latents = lambda n: z

    def gradient():
        values = [w.value for w in model.generator.trainable_variables]
        with tf.GradientTape() as tape, random.scope(0):
            tape.watch(values)
            terms = model.generator_loss(real)
        assert list(terms) == ["features"]
        return tape.gradient(terms["features"], values)

    first = gradient()
    last = model.discriminator.layers[-1]
    last.kernel.assign(tf.random.normal(last.kernel.shape))
    for a, b in zip(first, gradient(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.abs(a).max() > 1e-6 for a in first)
    earlier = model.discriminator.trainable_variables[0]
    earlier.assign(tf.random.normal(earlier.shape))
    assert any(np.abs(a - b).max() > 1e-6 for a, b in zip(first, gradient(), strict=True))


@pytest.mark.parametrize("kind, distance", [("absolute", 1.5), ("squared", 2.5)])
def test_distance_of_mean_features(kind, distance):
    """Means over features of the differences 1 and 2 of mean features, or of their squares."""
    model = small(feature_matching=kind)
    of_fakes = tf.constant([[0.0, 0.0], [2.0, 4.0]])  # its mean is [1, 2]
    rows = iter([of_fakes, tf.zeros([2, 2])])
    model.discriminator = lambda image, training: (tf.zeros([2, 10]), next(rows))
    with random.scope(0):
        terms = model.generator_loss(tf.zeros([2, 12, 12, 1]))
    assert float(terms["features"]) == pytest.approx(distance)


def test_g_without_matching_minimizes_log_of_1_minus_d():
    model = small(feature_matching=None)
    model.discriminator = lambda image, training: (tf.zeros([2, 10]), tf.zeros([2, 2]))
    with random.scope(0):
        terms = model.generator_loss(tf.zeros([2, 12, 12, 1]))
    assert float(terms["fake"]) == pytest.approx(-math.log(11.0), abs=1e-6)


def test_g_matches_images_that_d_has_not_just_seen():
    model, moves = small(), []
    model.compile()
    model.now = 1  # the weights are initialized
    model.update = lambda player, loss, *tensors: moves.append((player, loss, tensors)) or {}
    numbers = np.arange(8, dtype="float32").reshape([8, 1, 1, 1]) * np.ones([1, 12, 12, 1])
    data = {"image": numbers, "label": np.arange(8) % 3, "unlabeled": numbers + 100.0}
    model.train_step({name: tf.constant(value) for name, value in data.items()})
    (d, d_loss, (image, label, unlabeled)), (g, g_loss, (others,)) = moves
    assert (d, d_loss) == ("discriminator", model.discriminator_loss)
    assert (g, g_loss) == ("generator", model.generator_loss)
    np.testing.assert_array_equal(image[:, 0, 0, 0], [0, 2, 4, 6])
    np.testing.assert_array_equal(tf.argmax(label, axis=1), [0, 2, 1, 0])
    np.testing.assert_array_equal(unlabeled[:, 0, 0, 0], [100, 102, 104, 106])
    np.testing.assert_array_equal(others[:, 0, 0, 0], [101, 103, 105, 107])


def test_averages_begin_at_0_and_lack_nothing():
    """After each of three steps: sum of (1 - d) d^k w(t - k), divided by 1 - d^t."""
    model, d = small(average_rate=0.1), 0.9
    weight = model.discriminator.trainable_variables[0]
    mean = model.discriminator_ema.weights[0]
    sums = 0.0
    for t, value in enumerate((2.0, -1.0, 5.0), 1):
        weight.assign(tf.fill(weight.shape, value))
        model.step.assign(t - 1)
        model.average()
        sums = d * sums + (1.0 - d) * value
        np.testing.assert_allclose(mean, np.full(mean.shape, sums / (1.0 - d**t)), rtol=1e-5)


def test_the_averages_classify():
    model = small()
    image = tf.random.uniform([5, 12, 12, 1], -1, 1)
    first = model.classify(image)["probability"].numpy()
    np.testing.assert_allclose(first.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(first, model.classify(image)["probability"])  # no noise
    outputs, _ = model.discriminator_ema(image, training=False)
    np.testing.assert_array_equal(first.argmax(axis=1), outputs.numpy().argmax(axis=1))
    model.discriminator.layers[-1].bias.assign(tf.range(10.0))
    np.testing.assert_array_equal(first, model.classify(image)["probability"])
    model.discriminator_ema.layers[-1].bias.assign(100.0 * tf.one_hot(7, 10))
    np.testing.assert_allclose(model.classify(image)["probability"][:, 7], 1.0)


@pytest.mark.parametrize("architecture", ["conv", "dense"])
def test_first_step_normalizes_the_features_of_d(architecture):
    """A new D gives outputs of deviation 0.1 (conv) or 1 (dense) after its initialization."""
    model = small(architecture)
    model.compile({"discriminator": {"learning_rate": 0.0}}, run_eagerly=True)
    image = tf.random.uniform([64, 12, 12, 1], -1, 1)
    data = {"image": image, "label": tf.range(64) % 10, "unlabeled": image}
    model.train_on_batch(data)
    with random.scope(5):
        outputs, _ = model.discriminator(image, training=True)
    wanted = {"conv": 0.1, "dense": 1.0}[architecture]
    deviation = np.std(outputs, axis=0).mean()  # noise and dropout differ from those of the step
    assert 0.7 * wanted < deviation < 1.4 * wanted


def count(network):
    return sum(int(np.prod(w.shape)) for w in network.trainable_variables)


def test_setting_for_cifar():
    model = SemiGAN()
    layers = [(3, 96), (96, 96), (96, 96), (96, 192), (192, 192), (192, 192), (192, 192)]
    kernels = 9 * sum(a * b for a, b in layers) + 2 * 192 * 192 + 192 * 10
    biases = 3 * 96 + 6 * 192 + 10
    assert count(model.discriminator) == kernels + biases + 10  # and ten gains
    kernels = 100 * 8192 + 25 * (512 * 256 + 256 * 128 + 128 * 3)
    assert count(model.generator) == kernels + 8192 + 256 + 128 + 2 * 3
    assert (model.num_classes, model.average_rate, model.prior) == (10, 1e-4, (0.0, 1.0))
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
        rates = [float(optimizer._learning_rate(s)) for s in (0, 399_999, 500_000, 600_000)]
        np.testing.assert_allclose(rates, [3e-4, 3e-4, 1.5e-4, 0.0], atol=1e-9)


def test_setting_for_mnist():
    model = SemiGAN(image_shape=(28, 28, 1), architecture="dense")
    sizes = [784, 1000, 500, 250, 250, 250, 10]
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    assert count(model.discriminator) == sum(a * b + b for a, b in pairs) + 10
    assert count(model.generator) == 100 * 500 + 500 + 500 * 500 + 500 + 500 * 784 + 2 * 784
    noise = [layer.stddev for layer in model.discriminator.layers if hasattr(layer, "stddev")]
    assert noise == [0.3, 0.5, 0.5, 0.5, 0.5, 0.5]
    for optimizer in model.default_optimizers().values():
        assert float(optimizer.learning_rate) == pytest.approx(3e-3)


def test_images_are_made_without_labels():
    model = small()
    assert model.sample(2).shape == (2, 12, 12, 1)
    assert [spec.name for spec in model.endpoints()["serving_default"][1]] == ["z"]
    with pytest.raises(BadInput, match="takes no labels"):
        model.sample(2, labels=1)


def test_unknown_words_are_refused():
    with pytest.raises(BadInput, match="squared"):
        small(feature_matching="square")
    with pytest.raises(BadInput, match="9x9 pixels or more"):
        SemiGAN(image_shape=(8, 8, 1))
    with pytest.raises(BadInput, match="dense"):
        small("densely")
