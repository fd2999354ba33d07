"""DTN: three classes of D, features that stand still, identity and constancy, the baseline."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tiny import fit, new, trainable, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.dtn import DTN, log_loss


def third_logit(rows, outputs, score):
    """A score as the logit of class 3 of 3, or as the only one of the baseline."""
    return {1: score, 3: tf.concat([0.0 * score, 0.0 * score, score], axis=-1)}.get(
        outputs.shape[-1]
    )


CONTRACT = {
    "games": [{}, {"baseline": True}],
    "replace_score": third_logit,
    "served": ["features", "head", "generator"],
}
SMALL = {
    "image_shape": (16, 16, 3),
    "num_classes": 3,
    "width": 4,
    "code_dim": 6,
    "pretrain_steps": 1,
}


def small(**settings):
    return DTN(**(SMALL | settings))


def pictures(seed=0, n=4):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, 16, 16, 3]), "float32")


def grays(seed=0, n=4):
    return tf.repeat(pictures(seed, n)[..., :1], 3, axis=-1)


def values(terms):
    return {name: float(value) for name, value in terms.items()}


def slopes(loss, network):
    """The gradients of a sum of terms with respect to a network's weights; None where none goes."""
    weights = [w.value for w in network.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        total = tf.add_n(list(loss().values()))
    return tape.gradient(total, weights)


def test_networks_for_digits():
    """Counts by arithmetic; 4x4 pixels before f's 128 features, as g's first map."""
    with without_numbers():
        model, baseline, colored = DTN(), DTN(baseline=True), DTN(gray_target=False)
    assert trainable(model.features) == trainable(baseline.encoder) == 895_808
    assert trainable(model.generator) == 2_526_081
    assert trainable(model.discriminator) == 1_502_083
    assert trainable(baseline.discriminator) == 1_502_083 - 2 * (4 * 4 * 512 + 1)
    assert model.discriminator.output_shape == (None, 3)
    assert model.generator.output_shape == (None, 32, 32, 1)
    assert colored.generator.output_shape == (None, 32, 32, 3)
    assert model.encoder is model.features and baseline.encoder is not baseline.features
    kernels = [w.shape for w in model.features.trainable_variables if w.name == "kernel"]
    assert kernels == [(3, 3, 3, 64), (3, 3, 64, 128), (3, 3, 128, 256), (4, 4, 256, 128)]
    with pytest.raises(BadInput, match="takes num_classes = 2 or more, not 1"):
        small(num_classes=1)
    with pytest.raises(BadInput, match="multiples of 4"):
        small(image_shape=(18, 16, 3))


def test_a_discriminator_that_says_nothing():
    """All logits 0: L_D = 3 ln 3 = 3.2958, L_GANG = 2 ln 3 = 2.1972."""
    model, a, b = small(), pictures(1), grays(2)
    model.discriminator = lambda image, training: tf.zeros([len(image), 3])
    d, g = values(model.discriminator_loss(a, b)), values(model.generator_loss(a, b))
    assert sum(d.values()) == pytest.approx(3.2958, abs=1e-4)
    assert g["fake"] == pytest.approx(2.1972, abs=1e-4)
    assert d.keys() == {"source", "target", "real"} and "smoothness" not in g


def test_three_classes_and_whose_they_are():
    """1: G(s), 2: G(t), 3: t; G wants class 3 for both."""
    model, a, b = small(identity_weight=0, constancy_weight=0), pictures(1), grays(2)
    real = model.plain(b).numpy()
    logits = {"s": [0.5, -1.0, 2.0], "t": [1.0, 0.25, -0.5], "real": [-2.0, 0.0, 1.0]}
    of_a, of_b = tf.split(model.made(tf.concat([a, b], axis=0)), 2)

    def judge(image, training):
        for word, known in (("s", of_a), ("t", of_b), ("real", real)):
            if np.allclose(image, known, atol=1e-5):
                return tf.tile([logits[word]], [len(image), 1])
        raise AssertionError("another image")

    model.discriminator = judge
    model.made = lambda image: tf.concat([of_a, of_b], axis=0)

    def cost(word, number):
        return math.log(sum(map(math.exp, logits[word]))) - logits[word][number - 1]

    assert values(model.discriminator_loss(a, b)) == pytest.approx(
        {"source": cost("s", 1), "target": cost("t", 2), "real": cost("real", 3)}, rel=1e-5
    )
    g = values(model.generator_loss(a, b))
    assert g["fake"] == pytest.approx(cost("s", 3) + cost("t", 3), rel=1e-5)
    assert float(log_loss(tf.zeros([2, 4]), 1)) == pytest.approx(math.log(4))


def test_the_classifier_wants_the_label():
    """Logits of 2 for the true class and 0 for two others cost ln(1 + 2 / e^2)."""
    model, label = small(), tf.one_hot([0, 1, 2, 1], 3)
    model.head = lambda code, training: 2.0 * label
    found = values(model.classifier_loss(pictures(), label))
    assert found == pytest.approx({"class": math.log(1 + 2 * math.exp(-2))}, rel=1e-5)
    model.head = lambda code, training: -2.0 * label
    assert values(model.classifier_loss(pictures(), label))["class"] > 2.0


def test_f_stands_still():
    """Phase 1 moves f and its statistics; 100 steps of the game leave every number of f."""
    model, config, source = new("dtn", eager=False, pretrain_steps=2)

    def numbers():
        return [w.numpy() for w in (*model.features.weights, *model.head.weights)]

    start = numbers()
    fit(model, config, source, 2)
    before, others = numbers(), [w.numpy() for w in model.generator.weights]
    assert all((x != y).any() for x, y in zip(start, before, strict=True))
    fit(model, config, source, 100)
    for x, y in zip(before, numbers(), strict=True):
        np.testing.assert_array_equal(x, y)
    moved = [(x != w.numpy()).any() for x, w in zip(others, model.generator.weights, strict=True)]
    assert all(moved)


def test_constancy_teaches_g_and_not_f():
    model, a, b = small(identity_weight=0), pictures(1), grays(2)

    def loss():
        return {"constancy": model.generator_loss(a, b)["constancy"]}

    assert all(np.abs(g).max() > 1e-7 for g in slopes(loss, model.generator))
    features = {id(w) for w in model.features.weights}
    for player in ("discriminator", "generator"):
        assert not features & {id(w) for w in model.weights_of(player)}
    size = np.mean((model.given(a) - model.given(model.whole(model.made(
        tf.concat([a, b], axis=0))[:4]))) ** 2)  # fmt: skip
    assert float(loss()["constancy"]) == pytest.approx(15 * size, rel=1e-4)


def test_identity_compares_targets_with_themselves():
    model, a, b = small(constancy_weight=0), pictures(1), grays(2)
    model.made = lambda image: tf.fill([len(image), 16, 16, 1], 0.25)
    expected = 15 * np.mean((b[..., :1] - 0.25) ** 2)
    assert float(model.generator_loss(a, b)["identity"]) == pytest.approx(expected, rel=1e-5)


def test_identity_alone_is_learned():
    """alpha 0, no game: 300 steps bring L_TID below a tenth of its start."""
    model = small(constancy_weight=0, width=8, code_dim=32)
    model.compile({"generator": {"learning_rate": 2e-3}})
    # Four horizontal bars and four vertical ones; f, which stands still, is random.
    b = np.full([8, 16, 16, 3], -1.0, "float32")
    for k in range(4):
        b[k, 4 * k : 4 * k + 2] = 1.0
        b[4 + k, :, 4 * k : 4 * k + 2] = 1.0
    b = tf.constant(b)

    @tf.function
    def step():
        with random.scope(0):
            return model.update(
                "generator", lambda a, b: {"identity": model.generator_loss(a, b)["identity"]}, b, b
            )

    found = [float(step()["generator/identity"]) for _ in range(300)]
    assert found[-1] < 0.1 * found[0]


def test_variation_is_of_both_translations():
    """|dx| + |dy|: a step of height 2 along 16 pixels has 32, G(s) and G(t) alike."""
    model, a, b = small(smoothness_weight=0.5, identity_weight=0), pictures(1), grays(2)
    edge = np.full([8, 16, 16, 1], -1.0, "float32")
    edge[:4, 8:] = 1.0
    edge[4:, :, 3:] = 1.0
    model.made = lambda image: tf.constant(edge)
    assert float(model.generator_loss(a, b)["smoothness"]) == pytest.approx(16.0)


def test_gray_images_are_repeated_for_f():
    model, b = small(), grays(2)
    np.testing.assert_allclose(model.plain(b), b[..., :1], atol=1e-6)
    np.testing.assert_array_equal(model.whole(b[..., :1]), b)
    made = model.transferred(b).numpy()
    assert made.shape == (4, 16, 16, 3) and np.ptp(made, axis=-1).max() == 0
    colored = small(gray_target=False)
    assert colored.plain(b) is b and colored.whole(b) is b
    assert np.ptp(colored.transferred(b).numpy(), axis=-1).max() > 0


def test_the_baseline():
    """D of two classes, no identity; with f the identity, constancy is the error of pixels."""
    model = small(baseline=True, gray_target=False, constancy_weight=2.0)
    a, b = pictures(1), grays(2)
    fake = model.made(a)
    model.features = lambda image, training: image
    scores = {"real": 0.5, "fake": -1.5}

    def judge(image, training):
        real = np.allclose(image, b)
        assert real or np.allclose(image, fake, atol=1e-5)
        return tf.fill([len(image), 1], scores["real" if real else "fake"])

    model.discriminator = judge
    d, g = values(model.discriminator_loss(a, b)), values(model.generator_loss(a, b))
    assert d == pytest.approx(
        {k: math.log1p(math.exp(s)) for k, s in (("real", -0.5), ("fake", -1.5))}
    )
    assert g == pytest.approx(
        {"fake": math.log1p(math.exp(1.5)), "constancy": 2 * np.mean((a - fake) ** 2)}, rel=1e-4
    )


def test_the_baseline_moves_all_of_its_own_network():
    model, a, b = small(baseline=True), pictures(1), grays(2)
    found = slopes(lambda: model.generator_loss(a, b), model.encoder)
    assert all(g is not None and np.abs(g).max() > 1e-7 for g in found)
    assert model.players()["generator"] == [model.encoder, model.generator]
    # Its own normalizations learn statistics; f's do not.
    for network, moves in ((model.encoder, True), (model.features, False)):
        before = [w.numpy() for w in network.non_trainable_variables]
        model.generator_loss(a, b)
        after = [w.numpy() for w in network.non_trainable_variables]
        assert any((x != y).any() for x, y in zip(before, after, strict=True)) == moves


def test_uses():
    model, a, b = small(), pictures(1), grays(2)
    found = {name: function(a) for name, (function, _) in model.endpoints().items()}
    assert found.keys() == {"serving_default", "translate", "encode", "classify"}
    code = model.features(a, training=False)
    np.testing.assert_array_equal(found["encode"]["code"], code)
    made = model.generator(code, training=False)
    np.testing.assert_allclose(found["translate"]["image"][..., :1], made, atol=1e-6)
    np.testing.assert_allclose(np.sum(found["classify"]["probability"], axis=1), 1.0, rtol=1e-5)
    table = model.preview({"a": a, "b": b})
    assert table.shape == (4, 4, 16, 16, 3)
    for column, wanted in enumerate((a, model.transferred(a), b, model.transferred(b))):
        np.testing.assert_allclose(table[:, column], wanted, atol=1e-5)
