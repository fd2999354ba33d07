"""Colorful: soft labels, weights of rare colors, the annealed mean, its bins and its network."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import data
from tfgans.data.settings import Data
from tfgans.errors import BadInput
from tfgans.models import colorful
from tfgans.models.colorful import Colorful, annealed_mean, bins, encode, rebalancing
from tfgans.ops.lab import rgb_to_lab

CONTRACT = {"games": [], "served": ["classifier"]}


def small(**settings):
    model = Colorful(**{"image_shape": (16, 16, 3), "width": 4} | settings)
    model.compile(run_eagerly=True)
    return model


def batch(n=4, side=16):
    source = data.resolve(_Config(side), Colorful)
    chosen = Data("synthetic", batch_size=n)
    model = Colorful(image_shape=(side, side, 3), width=1)
    return next(iter(data.batches(model, source, chosen, 0)))


class _Config:
    def __init__(self, side):
        self.data, self.model = Data("synthetic"), {"image_shape": [side, side, 3]}


def place_of(a, b):
    return int(np.flatnonzero((bins() == [a, b]).all(axis=1))[0])


def test_bins_hold_the_colors_of_srgb():
    """261 of them: each color of a fine cube has its nearest point of the grid among them."""
    assert bins().shape == (261, 2) and not (bins() % 10).any()
    assert len(np.unique(bins(), axis=0)) == 261
    cube = np.random.RandomState(0).uniform(-1, 1, [20_000, 3]).astype("float32")
    ab = rgb_to_lab(cube).numpy()[:, 1:]
    nearest = bins()[np.argmin(colorful.squared_distances(ab), axis=-1)]
    assert np.abs(nearest - ab).max() <= 5.001
    np.testing.assert_array_equal(nearest, 10 * np.rint(ab / 10))


@pytest.mark.parametrize("neighbors, share", [(10, 0.6192), (5, 0.6488)])
def test_the_soft_label_of_a_color_on_a_bin(neighbors, share):
    label = encode(tf.constant([[0.0, 0.0], [20.0, 30.0]]), neighbors).numpy()
    for row, center in zip(label, ((0, 0), (20, 30)), strict=True):
        assert row[place_of(*center)] == pytest.approx(share, abs=5e-5)
        assert np.count_nonzero(row) == neighbors and row.sum() == pytest.approx(1.0, abs=1e-6)
    assert label[0, place_of(10, 0)] == pytest.approx(share * np.exp(-100 / 50), rel=1e-4)


def test_a_color_between_bins_has_the_weights_of_its_distances():
    """At (4, 0): exp(-16 / 50) against exp(-36 / 50) for the two next ones."""
    label = encode(tf.constant([4.0, 0.0]), 5).numpy()
    ratio = label[place_of(10, 0)] / label[place_of(0, 0)]
    assert ratio == pytest.approx(np.exp(-20 / 50), rel=1e-4)


def test_weights_of_rare_colors():
    """Lambda 1/2, p = (0.9, 0.1): v = (0.88235, 2.05882); the mean weight of a pixel is 1."""
    np.testing.assert_allclose(
        rebalancing(tf.constant([0.9, 0.1]), 0.5), [0.88235, 2.05882], atol=1e-5
    )
    prior = np.random.RandomState(0).dirichlet(np.full(261, 0.1)).astype("float32")
    for share in (0.1, 0.5, 0.9):
        weight = rebalancing(tf.constant(prior), share).numpy()
        assert np.sum(prior * weight) == pytest.approx(1.0, abs=1e-5)
        assert weight[np.argmin(prior)] == weight.max() > 1.5 * weight.min()
    np.testing.assert_allclose(rebalancing(tf.constant(prior), 1.0), 1.0, atol=1e-5)


def test_the_smoothed_prior():
    """One color spreads as a Gaussian of deviation 5; nothing is lost."""
    prior = np.zeros(261, "float32")
    prior[place_of(0, 0)] = 1.0
    found = colorful.smoothed(tf.constant(prior)).numpy()
    assert found.sum() == pytest.approx(1.0, abs=1e-5)
    ratio = found[place_of(10, 0)] / found[place_of(0, 0)]
    assert ratio == pytest.approx(np.exp(-2), rel=1e-3)


def test_the_annealed_mean():
    """At T = 0.38, (0.6, 0.4) become 0.7440 and 0.2560; 1 gives the mean, near 0 the mode."""
    logits = np.full([1, 261], -1e9, "float32")
    first, second = place_of(0, 0), place_of(50, 0)
    logits[0, [first, second]] = np.log([0.6, 0.4])
    for temperature, share in ((0.38, 0.2560), (1.0, 0.4), (0.01, 0.0)):
        a, b = annealed_mean(tf.constant(logits), temperature)[0].numpy()
        assert a / 50 == pytest.approx(share, abs=5e-5) and b == pytest.approx(0, abs=1e-4)


def test_the_network_of_the_paper():
    """With the paper's 313 colors it has the 32.2 million weights of the published one."""
    with without_numbers():
        network = colorful.build_classifier((176, 176), colors=313)
    convs = [x for x in network.layers if isinstance(x, keras.layers.Conv2D)]
    expected = [(64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 1), (256, 2)]
    expected += [(512, 1)] * 12 + [(256, 1), (256, 1), (313, 1)]
    assert [(x.filters, x.strides[0]) for x in convs] == expected
    dilated = [i for i, x in enumerate(convs) if x.dilation_rate[0] == 2]
    assert dilated == list(range(10, 16))
    assert network.output_shape == (None, 44, 44, 313)
    assert len([x for x in network.layers if "BatchNorm" in type(x).__name__]) == 7
    pairs = [1 * 64, 64 * 64, 64 * 128, 128 * 128, 128 * 256, 256 * 256, 256 * 256, 256 * 512]
    pairs += [512 * 512] * 11 + [256 * 256] * 2
    biases = 2 * 64 + 2 * 128 + 3 * 256 + 12 * 512 + 3 * 256 + 313
    norms = 2 * (64 + 128 + 256 + 4 * 512)
    count = 9 * sum(pairs) + 16 * 512 * 256 + 256 * 313 + biases + norms
    assert trainable(network) == count
    assert (count + 2 * 313) / 1e6 == pytest.approx(32.236, abs=0.006)  # OpenVINO's model zoo


def test_the_loss_by_hand():
    """The mean over pixels of weight times cross-entropy with soft labels; the decay beside it."""
    model, given = small(), batch()
    ab = rgb_to_lab(given["target"])[..., 1:]
    prior = tf.constant(np.random.RandomState(0).dirichlet(np.ones(261)), "float32")
    logits = np.random.RandomState(1).normal(size=[4, 4, 4, 261]).astype("float32")
    kernel = next(w for w in model.classifier.trainable_variables if w.name == "kernel")
    half = 0.5 * sum(
        np.sum(w.numpy() ** 2) for w in model.classifier.trainable_variables if w.name == "kernel"
    )
    assert kernel is model.classifier.trainable_variables[0]
    model.logits = lambda gray, training: tf.constant(logits)
    terms = model.classifier_loss(given["input"], ab, prior)
    assert float(terms["decay"]) == pytest.approx(1e-3 * half, rel=1e-4)
    log_p = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
    weight, total = rebalancing(prior, 0.5).numpy(), 0.0
    for n, y, x in np.ndindex(4, 4, 4):
        label = encode(ab[n, 4 * y, 4 * x], 5).numpy()
        total -= weight[np.argmax(label)] * np.sum(label * log_p[n, y, x]) / 64
    assert float(terms["entropy"]) == pytest.approx(total, rel=1e-4)


def test_gray_images_count_nothing():
    model, given = small(), batch()
    target = given["target"].numpy()
    target[:2] = given["input"].numpy()[:2]
    prior = tf.fill([261], 1 / 261)
    model.logits = lambda gray, training: tf.zeros([4, 4, 4, 261])
    ab = rgb_to_lab(target)[..., 1:]
    entropy = float(model.classifier_loss(given["input"], ab, prior)["entropy"])
    assert entropy == pytest.approx(np.log(261) / 2, rel=1e-4)


def test_colors_are_counted_while_training():
    model, given = small(), batch()
    ab = rgb_to_lab(given["target"]).numpy()[:, ::4, ::4, 1:].reshape(-1, 2)
    equal = colorful.smoothed(tf.fill([261], 1 / 261))
    np.testing.assert_allclose(model.prior(), equal, rtol=1e-5)  # nothing is counted yet
    for times in (1, 2):
        model.train_on_batch(given)
        counts = 64 * model.shares.numpy()
        assert counts.sum() == times * 64
        for center in np.unique(10 * np.rint(ab / 10), axis=0):
            same = (10 * np.rint(ab / 10) == center).all(axis=1).sum()
            assert counts[place_of(*center)] == times * same
    assert float(tf.reduce_sum(model.prior())) == pytest.approx(1.0, abs=1e-5)


def test_a_colored_image_keeps_its_lightness_and_follows_the_distribution():
    model, given = small(), batch()
    logits = np.zeros([4, 4, 4, 261], "float32")
    logits[..., place_of(10, 20)] = 50.0
    model.logits = lambda gray, training: tf.constant(logits)
    gray = tf.clip_by_value(given["input"], -0.2, 0.5)
    found = rgb_to_lab(model.colorize(gray)).numpy()
    wanted = rgb_to_lab(tf.repeat(gray, 3, axis=-1)).numpy()
    np.testing.assert_allclose(found[..., 0], wanted[..., 0], atol=0.01)
    np.testing.assert_allclose(found[..., 1:], np.broadcast_to([10, 20], [4, 16, 16, 2]), atol=0.05)
    logits[:, :, 2:] = 0.0
    logits[:, :, 2:, place_of(-10, 20)] = 50.0
    a = rgb_to_lab(model.colorize(gray)).numpy()[0, 0, :, 1]
    assert a[0] > 9.9 and a[-1] < -9.9 and (np.diff(a) < 0.01).all() and 0 < a[7] < 5  # bilinear


def test_the_network_sees_lightness_around_0():
    model, seen = small(), []
    model.classifier = lambda x, training: seen.append(x.numpy()) or tf.zeros([1, 4, 4, 261])
    for gray, expected in ((-1.0, -0.5), (1.0, 0.5)):
        model.logits(tf.fill([1, 16, 16, 1], gray), training=False)
        np.testing.assert_allclose(seen.pop(), expected, atol=1e-5)


def test_the_optimizer_of_the_paper():
    adam = small().default_optimizers()["classifier"]
    assert (adam.beta_1, adam.beta_2) == (0.9, 0.99)
    rate = keras.saving.deserialize_keras_object(adam.get_config()["learning_rate"])
    # Updates are counted from 0: there are 225,000 of the first rate.
    found = [float(rate(step)) for step in (224_999, 225_000, 449_999, 450_000)]
    np.testing.assert_allclose(found, [3e-5, 3e-6, 3e-6, 3e-7], rtol=1e-5)


def test_sizes_that_do_not_fit():
    with pytest.raises(BadInput, match=r"gray images, \[N, H, W, 1\], not .* \[2, 16, 16, 3\]"):
        small().colorize(tf.zeros([2, 16, 16, 3]))
    with pytest.raises(BadInput, match="multiples of 8, not 20x20"):
        small(image_shape=(20, 20, 3))
    with pytest.raises(BadInput, match="makes RGB images, not images of 1 channels"):
        small(image_shape=(16, 16, 1))
