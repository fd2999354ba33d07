"""DANN: the reversed gradient, both schedules, which head learns what, moons of two domains."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans.errors import BadInput
from tfgans.models.dann import DANN

CONTRACT = {
    "games": [],  # nobody scores real and generated images
    "served": ["features", "label_head"],
}


def small(**settings):
    sizes = {"image_shape": (8, 8, 1), "num_classes": 3, "width": 2}
    return DANN(**(sizes | {"label_units": (5,), "domain_units": (4,)} | settings))


def batch(n=6, shape=(8, 8, 1)):
    keys = np.random.RandomState(0)
    a, b = keys.uniform(-1, 1, [2, n, *shape]).astype("float32")
    return tf.constant(a), tf.one_hot(np.arange(n) % 3, 3), tf.constant(b)


def slopes(model, strength, terms=("label", "domain")):
    """Network -> the gradients of its weights, for some of the terms."""
    networks = model.players()["classifier"]
    values = [[w.value for w in network.trainable_variables] for network in networks]
    a, label, b = batch()
    with tf.GradientTape() as tape:
        tape.watch(values)
        found = model.classifier_loss(a, label, b, strength)
        total = tf.add_n([found[term] for term in terms])
    found = tape.gradient(total, values, unconnected_gradients="zero")
    return dict(zip(("features", "label_head", "domain_head"), found, strict=True))


def same(first, second, factor=1.0):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, factor * b, atol=1e-6)


def some(gradients):
    return max(float(np.abs(g).max()) for g in gradients) > 1e-4


def test_features_climb_what_the_domain_head_descends():
    """Against plain gradients of the same loss: features times -lambda, the head as it is."""
    model = small()
    reversed_ = slopes(model, 0.25, ["domain"])
    model.reverse = lambda x, strength: x
    plain = slopes(model, 0.25, ["domain"])
    assert some(plain["features"]) and some(plain["domain_head"])
    same(reversed_["features"], plain["features"], -0.25)
    same(reversed_["domain_head"], plain["domain_head"])
    assert not some(reversed_["label_head"])


def test_without_lambda_the_domain_head_still_learns():
    model = small()
    found = slopes(model, 0.0, ["domain"])
    assert not some(found["features"]) and some(found["domain_head"])
    both, label = slopes(model, 0.0), slopes(model, 0.0, ["label"])
    same(both["features"], label["features"])
    assert some(label["features"]) and not some(label["domain_head"])


def test_losses_by_numbers():
    """The head says 2 for class 0, or for the source; the target has another mean in its half."""
    model = small()
    a, label, b = tf.zeros([4, 8, 8, 1]), tf.one_hot([0, 0, 0, 1], 3), tf.ones([4, 8, 8, 1])
    model.features = lambda x, training: x[:, 0, 0]  # [N, 1]: 0 for the source, 1 for the target
    model.label_head = lambda f, training: tf.concat([f * 100 + 2.0, f, f], axis=1)
    model.domain_head = lambda f, training: tf.concat([1.0 - f, 3.0 * f], axis=1)
    terms = model.classifier_loss(a, label, b, 1.0)
    one_right, wrong = np.log(1 + 2 * np.exp(-2)), np.log(np.exp(2) + 2)
    assert float(terms["label"]) == pytest.approx((3 * one_right + wrong) / 4, abs=1e-6)
    source, target = np.log(1 + np.exp(-1)), np.log(1 + np.exp(-3))
    assert float(terms["domain"]) == pytest.approx((source + target) / 2, abs=1e-6)


def test_schedules():
    steps = (0, 860, 4300, 8600)
    with without_numbers():
        model = DANN()
    found = [float(model.strength(step)) for step in steps]
    np.testing.assert_allclose(found, [0.0, 0.462117, 0.986614, 0.999909], atol=1e-6)
    optimizer = model.default_optimizers()["classifier"]
    rates = [float(optimizer._learning_rate(step)) for step in (0, 4300, 8600)]
    np.testing.assert_allclose(rates, [0.01, 0.0026085, 0.0016556], atol=1e-7)
    assert isinstance(optimizer, keras.optimizers.SGD) and optimizer.momentum == 0.9
    weaker = small(reversal=0.5, decay_steps=100)
    assert float(weaker.strength(10)) == pytest.approx(0.231059, abs=1e-6)
    rate = weaker.default_optimizers()["classifier"]._learning_rate
    assert float(rate(50)) == pytest.approx(0.0026085, abs=1e-7)


def test_a_step_takes_lambda_from_its_number():
    model, seen = small(decay_steps=100), []
    model.compile(run_eagerly=True)
    model.step.assign(10)
    loss = model.classifier_loss

    def watched(a, label, b, strength):
        seen.append(float(strength))
        return loss(a, label, b, strength)

    model.classifier_loss = watched
    a, _, b = batch()
    terms = model.train_on_batch({"a": a, "a_label": np.arange(6) % 3, "b": b})
    assert seen == [pytest.approx(0.462117, abs=1e-6)]
    assert set(terms) == {"classifier/label", "classifier/domain"}


def test_networks_of_the_paper():
    with without_numbers():
        model = DANN()
    shapes = [tuple(w.shape) for w in model.features.trainable_variables[::2]]
    assert shapes == [(5, 5, 3, 32), (5, 5, 32, 48)]
    assert model.features.output_shape == (None, 7 * 7 * 48)
    assert trainable(model.features) == 2432 + 38_448
    assert trainable(model.label_head) == 2352 * 100 + 100 + 10_100 + 1010
    assert trainable(model.domain_head) == 2352 * 100 + 100 + 202
    first = small().features.trainable_variables
    np.testing.assert_allclose(first[1], 0.1)
    assert np.abs(small(width=64).features.trainable_variables[2]).max() <= 0.2


def test_images_are_classified_by_the_features_of_both_domains():
    model, (a, _, _) = small(), batch()
    probability = model.endpoints()["classify"][0](a)["probability"].numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(probability, model(a), atol=1e-6)
    logits = model.label_head(model.features(a))
    np.testing.assert_allclose(probability, tf.nn.softmax(logits), atol=1e-6)
    np.testing.assert_allclose(model.outputs({"a": -a, "b": a}), probability, atol=1e-6)


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="multiples of 4, not 10x8"):
        small(image_shape=(10, 8, 1))
    with pytest.raises(BadInput, match="num_classes = 2 or more, not 1"):
        small(num_classes=1)
    model = small()
    model.compile(run_eagerly=True)
    a, _, b = batch()
    with pytest.raises(BadInput, match="from 0 to 2; the least and greatest are 0 3"):
        model.train_on_batch({"a": a, "a_label": np.array([0, 1, 2, 3, 0, 0]), "b": b})
    with pytest.raises(BadInput, match="'a', 'a_label', 'b'.*'b' is missing"):
        model.train_on_batch((a, np.zeros(6, "int64")))


def moons(n, turn, generator):
    """Points of two half moons as images [n, 1, 1, 2], turned by degrees, and their classes."""
    label = generator.randint(0, 2, n)
    angle = np.pi * generator.rand(n)
    x = np.where(label, 1.0 - np.cos(angle), np.cos(angle)) - 0.5
    y = np.where(label, 0.5 - np.sin(angle), np.sin(angle)) - 0.25
    points = np.stack([x, y], axis=1) + 0.08 * generator.randn(n, 2)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    points = points @ np.array([[c, s], [-s, c]])
    return points.reshape(n, 1, 1, 2).astype("float32"), label


def after_moons(reversal, steps=1500):
    """Accuracies after a training on turned moons: a new domain head, source, target."""
    keras.utils.set_random_seed(1)
    model = small(image_shape=(4, 4, 2), num_classes=2, reversal=reversal, decay_steps=steps)
    image = keras.Input((1, 1, 2))
    x = keras.layers.Dense(15, "tanh")(keras.layers.Flatten()(image))
    model.features = keras.Model(image, x, name="features")
    model.image_shape = (1, 1, 2)
    for head, outputs in (("label_head", 2), ("domain_head", 2)):
        f = keras.Input([15])
        hidden = keras.layers.Dense(15, "relu")(f)
        network = keras.Model(f, keras.layers.Dense(outputs)(hidden), name=head)
        setattr(model, head, network)
    model.compile({"classifier": {"learning_rate": 0.05}})
    generator = np.random.RandomState(0)
    (a, a_label), (b, b_label) = (moons(2000, turn, generator) for turn in (0, 35))
    data = {"a": a, "a_label": a_label, "b": b}
    dataset = tf.data.Dataset.from_tensor_slices(data).shuffle(2000, 0).repeat()
    model.fit(dataset.batch(64, drop_remainder=True), steps_per_epoch=steps, verbose=0)
    features = [model.features(x).numpy() for x in (a, b)]
    right = [np.mean(np.argmax(model(x), 1) == y) for x, y in ((a, a_label), (b, b_label))]
    return new_head(np.concatenate(features)), *right


def new_head(features, steps=400):
    """How often a new head names the domain from frozen features, the first half of one domain."""
    domain = np.repeat([0, 1], len(features) // 2)
    head = keras.Sequential([keras.layers.Dense(15, "relu"), keras.layers.Dense(2)])
    head.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    dataset = tf.data.Dataset.from_tensor_slices((features, domain)).shuffle(4000, 0).repeat()
    head.fit(dataset.batch(128), steps_per_epoch=steps, verbose=0)
    return np.mean(np.argmax(head(features), axis=1) == domain)


@pytest.mark.slow
def test_features_of_turned_moons_hide_the_domain():
    """Measured: a new head names 70 % and 63 % of the domains; the target 70 % and 92 %.

    Turned by 35 degrees, the domains overlap too much for a head to name 90 % of them before.
    Shifted apart until it does (95 %), they keep 75 % with reversal, and the target gains nothing.
    """
    plain, plain_source, plain_target = after_moons(0.0)
    domain, source, target = after_moons(1.0)
    assert domain < 0.7 and domain < plain
    assert source > 0.95 and plain_source > 0.95
    assert target > plain_target + 0.1
