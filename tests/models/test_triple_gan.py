"""Triple-GAN: three losses by numbers, D's optimum, the way of C's gradient, rows, stages."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.models.triple_gan import MeanOnlyBatchNorm, TripleGAN

CONTRACT = {
    # C wants high scores for its own pairs, whose images are real ones: a test below.
    "spectators": ["classifier"],
    # The mean answer of a batch is no mean over its parts.
    "like_one_device": {"balance_weight": 0.0, "pretrain_balance_weight": 0.0},
    "atol": {"gain": 3e-5},  # gains of up to 14 here: twenty times their rounding
    "served": ["generator", "classifier_ema"],
}


def small(architecture="dense", **settings):
    sizes = {"generator_width": 4, "discriminator_width": 4, "classifier_width": 4}
    sizes |= {"generator_units": (6,), "discriminator_units": (7, 5), "labeled_every": 4}
    sizes |= {"image_shape": (20, 20, 1), "latent_dim": 4, "num_classes": 4}
    return TripleGAN(architecture=architecture, **(sizes | settings))


def answers(row):
    """A classifier with one row of logits for all images."""
    return lambda image, training: tf.tile(tf.constant([row], "float32"), [image.shape[0], 1])


def batch(n=8):
    """Labeled images of the values 0, 1, ..., their label vectors, and others 100 higher."""
    number = np.arange(n, dtype="float32").reshape([n, 1, 1, 1]) * np.ones([1, 20, 20, 1])
    label = tf.one_hot(np.arange(n) % 4, 4)
    return tf.constant(number, tf.float32), label, tf.constant(number + 100.0, tf.float32)


def test_losses_where_d_knows_nothing():
    """ln 2 times 1 + 1/2 + 1/2 and 1/2; C's term is 0.5 * 0.6 * ln 2 where its answer has 0.6."""
    model = small(adversarial_weight=1.0, consistency_weight=0.0)
    model.discriminator = lambda pair, training: tf.zeros([pair[0].shape[0], 1])
    model.classifier = answers(np.log([0.1, 0.6, 0.2, 0.1]))
    image, label, unlabeled = batch()
    with random.scope(0):
        d = model.discriminator_loss(image, label, unlabeled, unlabeled)
        g = model.generator_loss(8)
        c = model.classifier_loss(image, label, unlabeled)
    values = [float(d[name]) for name in ("real", "generated", "classified")]
    np.testing.assert_allclose(values, math.log(2) * np.array([1.0, 0.5, 0.5]), rtol=1e-5)
    assert sum(values) == pytest.approx(1.386294, abs=1e-5)
    assert [*g] == ["fake"] and float(g["fake"]) == pytest.approx(0.346574, abs=1e-6)
    assert set(c) == {"classes", "adversarial"}
    assert float(c["adversarial"]) == pytest.approx(0.207944, abs=1e-5)
    # Labels 0 and 2 in turn: every second row is C's.
    assert float(c["classes"]) == pytest.approx(-(math.log(0.1) + math.log(0.2)) / 2, abs=1e-5)


def test_signs_of_the_three_losses():
    """D wants real pairs high, the two others low; G and C want theirs high."""
    model = small(adversarial_weight=1.0, consistency_weight=0.0)
    scores = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    model.discriminator = lambda pair, training: tf.fill([pair[0].shape[0], 1], next(scores))
    model.classifier = answers([100.0, 0.0, 0.0, 0.0])
    image, label, unlabeled = batch()
    with random.scope(0):
        d = model.discriminator_loss(image, label, unlabeled, unlabeled)
        g = model.generator_loss(8)
        c = model.classifier_loss(image, label, unlabeled)
    found = [d["real"], d["generated"], d["classified"], g["fake"], c["adversarial"]]
    expected = [np.logaddexp(0, s) for s in (-1.0, 2.0, 3.0, -4.0, -5.0)]
    np.testing.assert_allclose(found, np.array([1.0, 0.5, 0.5, 0.5, 0.5]) * expected, rtol=1e-4)


def test_optimum_of_d():
    """On 2 x 2 cells of image and label D* = p / (p + p_g / 2 + p_c / 2)."""
    model = small(num_classes=2, labeled_every=1)
    cells = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    real, made = np.array([3, 1, 2, 2]), np.array([1, 3, 3, 1])  # of eight pairs
    classified = np.array([5, 0, 0, 3])  # C names 0 and 1 as they are

    def pairs(counts, times=1):
        x, y = np.repeat(np.repeat(cells, counts, axis=0), times, axis=0).T
        return tf.constant(x.reshape([-1, 1, 1, 1]), tf.float32), tf.one_hot(y, 2)

    table = tf.Variable(tf.zeros([2, 2]))

    def discriminator(pair, training):
        x = tf.one_hot(tf.cast(pair[0][:, 0, 0, 0], "int32"), 2)
        return tf.einsum("ni,nj,ij->n", x, pair[1], table)[:, tf.newaxis]

    model.discriminator = discriminator
    model.classifier = lambda x, training: tf.one_hot(tf.cast(x[:, 0, 0, 0], "int32"), 2)
    model.make = lambda n: pairs(made)
    image, label = pairs(real)
    others, _ = pairs(classified, times=2)  # C takes every second one
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(150):
        with tf.GradientTape() as tape:
            terms = model.discriminator_loss(image, label, image, others)
            loss = tf.add_n(list(terms.values()))
        optimizer.apply([tape.gradient(loss, table)], [table])
    optimum = real / (real + made / 2 + classified / 2)
    np.testing.assert_allclose(tf.sigmoid(table), optimum.reshape([2, 2]), atol=1e-3)


def test_the_gradient_of_c_goes_through_the_probability_alone():
    model = small(adversarial_weight=1.0, pretrain_balance_weight=0.0)
    image, label, _ = batch()
    unlabeled = tf.random.uniform([8, 20, 20, 1], -1, 1)
    values = [w.value for w in model.classifier.trainable_variables]
    seen = []
    network = model.classifier
    model.classifier = lambda x, training: seen.append(network(x, training=False)) or seen[-1]
    judge, pairs = model.discriminator, []

    def discriminator(pair, training):
        pairs.append((pair, judge(pair, training=False)))
        return pairs[-1][1]

    model.discriminator = discriminator
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(values)
        term = model.classifier_loss(image, label, unlabeled)["adversarial"]
        ((x, guess), score) = pairs[0]
        logits = seen[1]  # after those for labeled images
        constant = tf.stop_gradient(tf.nn.softplus(-score[:, 0]))
        expected = 0.5 * tf.reduce_mean(constant * tf.reduce_max(tf.nn.softmax(logits), axis=1))
    found, wanted = tape.gradient(term, values), tape.gradient(expected, values)
    np.testing.assert_array_equal(x, unlabeled[::2])
    np.testing.assert_array_equal(guess, tf.one_hot(tf.argmax(logits, axis=1), 4))
    assert max(np.abs(g).max() for g in found) > 1e-5
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_real_pairs_are_labeled_ones_and_those_of_c():
    """Rows 0, 4, ... have the label of the data, the others are other images with C's label."""
    model, (image, label, unlabeled) = small(), batch()
    model.classifier = lambda x, training: tf.one_hot(tf.cast(x[:, 0, 0, 0], "int32") % 3, 4)
    pairs, labels = model.real_pairs(image, label, unlabeled)
    np.testing.assert_array_equal(pairs[:, 0, 0, 0], [0, 101, 102, 103, 4, 105, 106, 107])
    np.testing.assert_array_equal(tf.argmax(labels, 1), [0, 2, 0, 1, 0, 0, 1, 2])
    # Each half of the batch is half of the pairs, and so for C's rows.
    halves = [model.real_pairs(*(x[k : k + 4] for x in batch())) for k in (0, 4)]
    np.testing.assert_array_equal(tf.concat([x for x, _ in halves], 0), pairs)
    np.testing.assert_array_equal(tf.concat([y for _, y in halves], 0), labels)
    halves = [model.for_classifier(image[k : k + 4])[0] for k in (0, 4)]
    np.testing.assert_array_equal(tf.concat(halves, 0), model.for_classifier(image)[0])
    assert halves[0].shape[0] == 2


def test_the_setting_for_cifar_takes_40_and_160_and_100():
    with without_numbers():
        model = TripleGAN()
    model.classifier = lambda x, training: tf.zeros([x.shape[0], 10])
    image = tf.zeros([200, 1, 1, 1])
    x, _ = model.real_pairs(image, tf.zeros([200, 10]), image + 1.0)
    assert float(tf.reduce_sum(x)) == 160 and x.shape[0] == 200
    assert model.for_classifier(image)[0].shape[0] == 100


def terms_of_c(first, second=None, **settings):
    """The terms of C without D and G, where it answers `first` and then `second`."""
    off = {"consistency_weight": 0.0, "entropy_weight": 0.0, "weight_decay": 0.0}
    model = small(**(off | settings))
    rows = iter([first, first, second])
    network = model.classifier
    model.classifier = lambda image, training: answers(next(rows))(image, training)
    model.classifier.layers = network.layers
    terms, _ = model.learn(*batch(), settings.get("balance_weight", 0.0))
    return {name: float(value) for name, value in terms.items()}, network


def test_regularizers_for_mnist():
    """Where C knows nothing, entropy and balance are ln 4; one answer for all is out of balance."""
    weights = {"entropy_weight": 0.3, "balance_weight": 1e-3, "weight_decay": 1e-4}
    terms, network = terms_of_c([0.0] * 4, **weights)
    assert terms["entropy"] == pytest.approx(0.3 * math.log(4), rel=1e-5)
    assert terms["balance"] == pytest.approx(1e-3 * math.log(4), rel=1e-4)
    kernel = network.layers[-1].kernel.numpy()
    assert kernel.shape == (16, 4)
    assert terms["decay"] == pytest.approx(1e-4 * np.sum(kernel**2), rel=1e-5)
    sure, _ = terms_of_c([9.0, 0.0, 0.0, 0.0], **weights)
    assert sure["entropy"] < 0.01 and sure["balance"] > 5e-3
    defaults = Config.load("triple_gan-mnist").model
    assert weights.items() <= defaults.items() and defaults["consistency_weight"] == 0.0


def test_regularizer_for_cifar():
    """The mean square of (0.75, -0.25, -0.25, -0.25) is 0.1875; it counts more and more."""
    settings = {"consistency_weight": 100.0, "ramp_steps": 10}
    terms, _ = terms_of_c([99.0, 0.0, 0.0, 0.0], [0.0] * 4, **settings)
    assert set(terms) == {"classes", "consistency"}
    assert terms["consistency"] == pytest.approx(100.0 * math.exp(-5.0) * 0.1875, rel=1e-4)
    model = small(ramp_steps=10)
    for step, expected in ((0, -5.0), (5, -1.25), (10, 0.0), (1000, 0.0)):
        model.step.assign(step)
        assert float(model.ramp()) == pytest.approx(math.exp(expected), rel=1e-5)


def moves_of(model, now):
    """The moves of one step: player -> (loss, tensors, n)."""
    moves = {}
    model.now = now
    model.update = lambda player, loss, *tensors, n=None: (
        moves.update({player: (loss, tensors, n)}) or {}
    )
    image, label, unlabeled = batch(16)
    data = {"image": image, "label": tf.argmax(label, 1), "unlabeled": unlabeled}
    with random.scope(0):
        model.train_step(data)
    return moves


def test_c_learns_first_then_d_c_and_g_move():
    model = small(pretrain_steps=3, generated_from=2)
    model.compile()
    image, label, unlabeled = batch(16)
    for now in (0, 1, 2):
        ((player, (loss, tensors, _)),) = moves_of(model, now).items()
        assert (player, loss) == ("pretraining", model.pretraining_loss)
        for given, expected in zip(tensors, (image, label, unlabeled), strict=True):
            np.testing.assert_array_equal(given, expected)
    moves = moves_of(model, 3)
    assert [*moves] == ["discriminator", "classifier", "generator"]
    assert model.stage == 2 and model.stage_of(5) == 3
    pairs, own = [0, 2, 4, 6, 8, 10, 12, 14], [1, 3, 5, 7, 9, 11, 13, 15]
    *given, others = moves["discriminator"][1]
    np.testing.assert_array_equal(given[0][:, 0, 0, 0], pairs)
    np.testing.assert_array_equal(given[2][:, 0, 0, 0], np.add(pairs, 100))
    np.testing.assert_array_equal(others[:, 0, 0, 0], np.add(own, 100))  # others than D has seen
    np.testing.assert_array_equal(moves["classifier"][1][0][:, 0, 0, 0], own)
    assert moves["generator"][1:] == ((), 8)
    model = small()
    model.compile()
    assert [*moves_of(model, 0)] == [*model.optimizers] == [*model.players()]


def test_generated_images_teach_c_from_a_step_on():
    model = small(generated_from=5, generated_weight=0.1)
    model.classifier, image = answers([0.0] * 4), tf.zeros([8, 20, 20, 1])
    for now, given in ((5, False), (6, True)):  # one step, then five of the game
        model.now = now
        with random.scope(0):
            terms = model.classifier_loss(image, tf.one_hot([0] * 8, 4), image)
        assert ("generated" in terms) == given
    assert float(terms["generated"]) == pytest.approx(0.1 * math.log(4), rel=1e-5)
    model.classifier = lambda x, training: tf.fill([x.shape[0], 1], 9.0) * [1.0, 0.0, 0.0, 0.0]
    model.make = lambda n: (tf.zeros([n, 20, 20, 1]), tf.one_hot([0] * n, 4))
    with random.scope(0):
        terms = model.classifier_loss(image, tf.one_hot([0] * 8, 4), image)
    assert float(terms["generated"]) < 1e-3


def test_the_averages_classify():
    model = small()
    model.compile(run_eagerly=True)
    image, label, unlabeled = batch(16)
    data = {"image": image / 100, "label": tf.argmax(label, 1), "unlabeled": unlabeled / 100}
    model.train_on_batch(data)
    kernel, average = model.classifier.layers[-1].kernel, model.classifier_ema.layers[-1].kernel
    np.testing.assert_allclose(average, kernel, atol=1e-7)  # the only weights so far
    first = kernel.numpy()
    model.train_on_batch(data)
    wanted = (0.99 * first + kernel.numpy()) / 1.99
    np.testing.assert_allclose(average, wanted, atol=1e-6)
    answer = model.classify(image)["probability"].numpy()
    np.testing.assert_allclose(answer.sum(axis=1), 1.0, atol=1e-6)
    model.classifier.layers[-1].bias.assign(tf.range(4.0))
    np.testing.assert_array_equal(answer, model.classify(image)["probability"])
    model.classifier_ema.layers[-1].bias.assign([0.0, 0.0, 100.0, 0.0])
    np.testing.assert_allclose(model.classify(image)["probability"][:, 2], 1.0)
    assert model.sample(3, labels=[3, 1, 0]).shape == (3, 20, 20, 1)


def test_a_layer_that_takes_the_mean_away_and_no_more():
    layer = MeanOnlyBatchNorm(3, size=0, momentum=0.9)
    x = tf.random.normal([64, 5], mean=2.0, stddev=3.0)
    first = layer(x, training=True).numpy()
    np.testing.assert_allclose(first.mean(axis=0), 0.0, atol=1e-5)
    unit = layer.kernel / np.linalg.norm(layer.kernel, axis=0)
    np.testing.assert_allclose(first.std(axis=0), np.std(x @ unit, axis=0), rtol=1e-3)
    mean = np.mean(x @ unit, axis=0)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-3)
    layer.bias.assign([1.0, 2.0, 3.0])
    np.testing.assert_allclose(layer(x), x @ unit - 0.1 * mean + layer.bias, atol=1e-2)
    layer.initialize(x)
    second = layer(x, training=True).numpy()
    np.testing.assert_allclose(second.std(axis=0), 1.0, rtol=1e-4)
    np.testing.assert_allclose(second.mean(axis=0), [1.0, 2.0, 3.0], atol=1e-5)
    assert len(layer.trainable_variables) == 3


def widths_in(network, kind="kernel"):
    """Input channels of all layers with a kernel."""
    layers = [layer for layer in network.layers if hasattr(layer, kind)]
    turned = [getattr(layer, "transposed", "Transpose" in type(layer).__name__) for layer in layers]
    return [w.kernel.shape[-1 if t else -2] for w, t in zip(layers, turned, strict=True)]


def test_setting_for_cifar():
    """Counted by hand; ten channels of y in front of every layer of G and D."""
    with without_numbers():
        model = TripleGAN()
    assert widths_in(model.generator) == [110, 522, 266, 138]
    assert trainable(model.generator) == (
        110 * 8192 + 25 * (522 * 256 + 266 * 128 + 138 * 3) + 8192 + 256 + 128 + 2 * 3
    )
    assert widths_in(model.discriminator) == [13, 42, 42, 74, 74, 138, 138]
    layers = [(13, 32), (42, 32), (42, 64), (74, 64), (74, 128), (138, 128)]
    assert trainable(model.discriminator) == sum(9 * a * b + b for a, b in layers) + 138 + 2
    layers = [(3, 128), (128, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512)]
    count = sum(9 * a * b + 2 * b for a, b in layers)
    count += sum(a * b + 2 * b for a, b in ((512, 256), (256, 128), (128, 10)))
    assert trainable(model.classifier) == count
    assert [layer.rate for layer in model.discriminator.layers if hasattr(layer, "rate")] == [
        0.2
    ] * 3
    shapes = [layer.output.shape[1:3] for layer in model.classifier.layers if "leaky" in layer.name]
    assert [shape[0] for shape in shapes] == [32] * 3 + [16] * 3 + [6] * 3
    assert (model.adversarial_weight, model.generated_weight) == (0.01, 0.1)
    assert (model.consistency_weight, model.average_rate, model.prior) == (100, 0.01, (0.0, 1.0))
    optimizers = model.default_optimizers()
    assert [*optimizers] == ["discriminator", "classifier", "generator"]
    for player, rate, last in (
        ("discriminator", 3e-4, 0.995**700),
        ("classifier", 3e-3, 0.99**700),
        ("generator", 3e-4, 0.995**700),
    ):
        assert optimizers[player].beta_1 == 0.5
        schedule = optimizers[player]._learning_rate
        for step, part in ((0, 1.0), (150_000, 1.0), (325_000, last**0.5), (500_000, last)):
            assert float(schedule(step)) == pytest.approx(rate * part, rel=1e-3)


def test_setting_for_mnist():
    with without_numbers():
        model = TripleGAN(**Config.load("triple_gan-mnist").model)
    assert widths_in(model.generator) == [110, 510, 510]
    assert widths_in(model.discriminator) == [794, 1010, 510, 260, 260, 260]
    noise = [layer.stddev for layer in model.discriminator.layers if hasattr(layer, "stddev")]
    assert noise == [0.3, 0.5, 0.5, 0.5, 0.5, 0.5]
    sizes = [(5, 1, 32), (3, 32, 64), (3, 64, 64), (3, 64, 128), (3, 128, 128)]
    count = sum(k * k * a * b + 2 * b for k, a, b in sizes) + 128 * 10 + 10
    assert trainable(model.classifier) == count
    shapes = [layer.output.shape[1] for layer in model.classifier.layers if "re_lu" in layer.name]
    assert shapes == [24, 12, 10, 5, 5]
    assert (model.adversarial_weight, model.labeled_every) == (1.0, 200)
    optimizers = model.default_optimizers()
    assert optimizers["pretraining"].beta_1 == 0.9
    rates = [float(optimizers[player].learning_rate) for player in optimizers]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-3, 3e-4])


def test_the_first_step_initializes_c():
    """New outputs of C have deviation 1 in the batch, and D and G stay as they were."""
    model = small("conv", image_shape=(20, 20, 3))
    rates = {player: {"learning_rate": 0.0} for player in model.players()}
    model.compile(rates, run_eagerly=True)
    image = tf.random.uniform([64, 20, 20, 3], -1, 1)
    model.train_on_batch({"image": image, "label": tf.range(64) % 4, "unlabeled": image})
    with random.scope(5):
        deviation = np.std(model.classifier(image, training=True), axis=0)
    assert (0.6 < deviation).all() and (deviation < 1.6).all()
    last = model.discriminator.layers[-1]
    np.testing.assert_array_equal(last.gain, 1.0)


def test_what_does_not_fit_is_said():
    with pytest.raises(BadInput, match="dense"):
        small("densely")
    with pytest.raises(BadInput, match="20x20 or more, not 16x16"):
        small("conv", image_shape=(16, 16, 3))
    model = small(labeled_every=3)
    with pytest.raises(BadInput, match="model.labeled_every"):
        model.real_pairs(*batch())
    with pytest.raises(BadInput, match="model.classifier_every"):
        model.for_classifier(tf.zeros([5, 1]))


def test_a_period_is_at_least_1():
    for word in ("labeled_every", "classifier_every"):
        with pytest.raises(BadInput, match=f"model.{word} .* 1 or more, not 0"):
            small(**{word: 0})
