"""XGAN: which layers both domains share, the reversed critic, terms of known networks, codes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.xgan import XGAN, l1_distance, l2_distance

ENCODERS, DECODERS = ("encoder_a", "encoder_b"), ("decoder_a", "decoder_b")
CONTRACT = {
    # The semantic loss has the gradient of |x|: where x is the noise of rounding, a sign flips.
    "rate": 3e-4,
    "spectators": ["critic"],  # of codes, not of images
    "served": [*ENCODERS, "encoder_shared", "decoder_shared", *DECODERS],
}
SMALL = {"image_shape": (16, 16, 3), "width": 4, "code_dim": 8, "discriminator_width": 4}


def small(**settings):
    return XGAN(**(SMALL | settings))


def pictures(seed=0, n=4):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, 16, 16, 3]), "float32")


@pytest.fixture(scope="module")
def built():
    """A model that its tests leave as it is, but for averages of normalizations."""
    return small()


def values(terms):
    return {name: float(value) for name, value in terms.items()}


def test_networks_at_64():
    """32, 64 | 128, 256, 1024, 1024 down, 512, 256 | 128, 64, 3 up; counts by arithmetic."""
    with without_numbers():
        model = XGAN()

    def kernels(name):
        return [w.shape for w in getattr(model, name).trainable_variables if w.name == "kernel"]

    assert kernels("encoder_a") == [(4, 4, 3, 32), (4, 4, 32, 64)]
    assert kernels("encoder_shared") == [
        (4, 4, 64, 128),
        (4, 4, 128, 256),
        (4 * 4 * 256, 1024),
        (1024, 1024),
    ]
    assert kernels("decoder_shared") == [(1024, 4 * 4 * 512), (4, 4, 256, 512)]
    assert kernels("decoder_b") == [(4, 4, 128, 256), (4, 4, 64, 128), (4, 4, 3, 64)]
    assert kernels("discriminator_a") == [
        (4, 4, 3, 16),
        (4, 4, 16, 32),
        (4, 4, 32, 32),
        (4, 4, 32, 32),
        (4 * 4 * 32, 1),
    ]
    assert kernels("domain_critic") == [(1024, 256), (256, 64), (64, 1)]
    counts = {
        "encoder_a": 34_496,
        "encoder_shared": 5_902_080,
        "decoder_shared": 10_487_296,
        "decoder_a": 658_819,
        "discriminator_a": 42_353,
        "domain_critic": 278_913,
    }
    assert {name: trainable(getattr(model, name)) for name in counts} == counts
    assert model.decoder_a.output_shape == (None, 64, 64, 3)
    with pytest.raises(BadInput, match="multiples of 4"):
        small(image_shape=(18, 16, 3))


def test_codes_have_length_one(built):
    for domain in "ab":
        code = built.encode(pictures(1), domain).numpy()
        np.testing.assert_allclose(np.linalg.norm(code, axis=1), 1.0, rtol=1e-5)


def outputs(model):
    a, b = pictures(1), pictures(2)
    same, fake = model.crossed(*model.codes(a, b))
    return {"aa": same[0], "bb": same[1], "ba": fake[0], "ab": fake[1]}  # from, to


@pytest.mark.parametrize(
    "name, reached",
    [
        ("encoder_shared", {"aa", "ab", "ba", "bb"}),
        ("decoder_shared", {"aa", "ab", "ba", "bb"}),
        ("decoder_a", {"aa", "ba"}),
        ("decoder_b", {"ab", "bb"}),
    ],
)
def test_the_layers_next_to_the_code_are_one_for_both_domains(name, reached):
    model = small()
    before = outputs(model)
    for w in getattr(model, name).trainable_variables:
        if w.name == "kernel":
            w.assign_add(0.3 * tf.random.stateless_normal(w.shape, [3, 4]))
    after = outputs(model)
    assert {k for k in after if np.abs(before[k] - after[k]).max() > 1e-4} == reached


def test_encoders_climb_what_the_critic_descends():
    """The gradient at the codes is minus the critic's own input gradient; the critic's is plain."""
    model = small()
    codes = [tf.math.l2_normalize(tf.random.normal([4, 8]), axis=1) for _ in range(2)]
    weights = [w.value for w in model.domain_critic.trainable_variables]

    def slopes():
        with tf.GradientTape() as tape:
            tape.watch([*codes, *weights])
            loss = model.domain_loss(*codes)
        found = tape.gradient(loss, [*codes, *weights])
        return float(loss), found[:2], found[2:]

    critic, ends = model.domain_critic, [tf.fill([4, 8], value) for value in (-2.0, 3.0)]
    model.domain_critic = lambda code, training: code[:, :1]
    expected = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-3.0))) / 2  # right: below 0, above 0
    assert float(model.domain_loss(*ends)) == pytest.approx(expected, rel=1e-5)
    model.domain_critic = critic
    loss, at_codes, at_weights = slopes()
    model.reverse = lambda code: code
    plain, plain_codes, plain_weights = slopes()
    assert loss == plain
    for reversed_, own in zip(at_codes, plain_codes, strict=True):
        assert np.abs(own).max() > 1e-5
        np.testing.assert_allclose(reversed_, -own, atol=1e-6)
    for first, second in zip(at_weights, plain_weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_one_pass_moves_encoders_up_and_the_critic_down():
    """Generators' and critic's terms hold the same number, weighted for the encoders alone."""
    model, a, b = small(dann_weight=0.25), pictures(1), pictures(2)
    terms = model.losses(a, b)
    assert terms["critic"].keys() == {"dann"}
    assert float(terms["generators"]["dann"]) == 0.25 * float(terms["critic"]["dann"])
    model.compile()
    moved = []
    for player, optimizer in model.optimizers.items():
        optimizer.apply = lambda gradients, own, player=player: moved.append(player)
    with random.scope(0):
        model.train_step({"a": a, "b": b})
    assert moved == ["discriminators", "generators", "critic"]
    rates = {player: float(o.learning_rate) for player, o in model.optimizers.items()}
    assert rates == pytest.approx({"discriminators": 1e-3, "generators": 1e-4, "critic": 2e-4})
    assert {(o.beta_1, o.beta_2) for o in model.optimizers.values()} == {(0.5, 0.999)}


def linear(model, inverse=True):
    """The model with linear maps for networks: e = W, d = the inverse of W, or something else."""
    keys = np.random.RandomState(0)
    maps = {word: keys.randint(-2, 3, [768, 768]) + 60.0 * np.eye(768) for word in "ab"}

    def encoder(word):
        return lambda image, training: (
            tf.reshape(image, [len(image), -1]) @ tf.constant(maps[word], "float32")
        )

    def decoder(word):
        matrix = np.linalg.inv(maps[word]) + (0.0 if inverse else 0.01)
        return lambda code, training: tf.reshape(
            code @ tf.constant(matrix, "float32"), [-1, 16, 16, 3]
        )

    for word in "ab":
        setattr(model, f"encoder_{word}", encoder(word))
        setattr(model, f"decoder_{word}", decoder(word))
    model.encoder_shared = model.decoder_shared = lambda maps, training: maps
    model.domain_critic = lambda code, training: tf.zeros([len(code), 1])
    for word in "ab":
        setattr(model, f"discriminator_{word}", lambda image, training: tf.zeros([len(image), 1]))
    return model


def test_terms_of_inverse_maps():
    """d inverts e: nothing is lost, so "rec" and "sem" are 0; the games are at ln 2."""
    model, a, b = linear(small()), pictures(1), pictures(2)
    terms = model.losses(a, b)
    own = values(terms["generators"])
    size = float(l1_distance(model.codes(a, b)[0], tf.zeros([4, 768])))
    assert own["sem"] < 1e-5 * size and own["rec"] < 1e-3
    assert own["gan"] == pytest.approx(2 * np.log(2), rel=1e-6)
    assert own["dann"] == float(terms["critic"]["dann"]) == pytest.approx(np.log(2), rel=1e-6)
    assert values(model.discriminators_loss(a, b)) == pytest.approx(
        {"a": 2 * np.log(2), "b": 2 * np.log(2)}, rel=1e-6
    )
    other = values(linear(small(), inverse=False).losses(a, b)["generators"])
    assert other["sem"] > 0.01 * size and other["rec"] > 0.1


def test_semantic_loss_is_zero_where_codes_are_kept_and_its_goal_stands_still(built):
    keys = np.random.RandomState(0)
    code_a, code_b, again_a, again_b = (tf.constant(keys.randn(3, 8), "float32") for _ in range(4))
    assert float(built.semantic_loss(code_a, code_b, code_a, code_b)) == 0.0
    with tf.GradientTape() as tape:
        tape.watch([code_a, code_b, again_a, again_b])
        loss = built.semantic_loss(code_a, code_b, again_a, again_b)
    gaps = (np.abs(x - y).sum(axis=1).mean() for x, y in ((code_a, again_a), (code_b, again_b)))
    assert float(loss) == pytest.approx(sum(gaps), rel=1e-5)
    at_a, at_b, *moved = tape.gradient(loss, [code_a, code_b, again_a, again_b])
    assert at_a is None and at_b is None
    np.testing.assert_allclose(moved[0], np.sign(again_a - code_a) / 3, atol=1e-6)


def test_codes_of_translations_meet_those_of_their_sources():
    """Codes 1 for a and 2 for b, 5 for what is painted as A, 7 for what is painted as B."""
    model, a, b = small(semantic_weight=1.0), pictures(1), pictures(2)
    seen = []

    def codes(first, second):
        seen.append((first, second))
        of = (1.0, 2.0) if len(seen) == 1 else (5.0, 7.0)
        return [tf.fill([4, 8], value) for value in of]

    model.codes = codes
    terms = values(model.losses(a, b)["generators"])
    # a -> B -> code 7, beside 1; b -> A -> code 5, beside 2; eight numbers each.
    assert terms["sem"] == pytest.approx(8 * (7 - 1) + 8 * (5 - 2))
    _, (fake_a, fake_b) = model.crossed(*[tf.fill([4, 8], value) for value in (1.0, 2.0)])
    np.testing.assert_allclose(seen[1][0], fake_a, atol=1e-5)
    np.testing.assert_allclose(seen[1][1], fake_b, atol=1e-5)


def test_weights_and_distances():
    """0.1 away at 768 numbers has the L2 norm 0.1 sqrt(768)."""
    x = tf.zeros([2, 16, 16, 3])
    assert float(l2_distance(x, x + 0.1)) == pytest.approx(0.1 * 768**0.5, rel=1e-5)
    assert float(l1_distance(tf.zeros([2, 8]), tf.fill([2, 8], 0.5))) == pytest.approx(4.0)
    a, b = pictures(1), pictures(2)
    one, other = small(), small(
        reconstruction_weight=2.0, dann_weight=3.0, semantic_weight=2.5, adversarial_weight=7.0
    )  # fmt: skip
    for network, twin in zip(one.layers, other.layers, strict=True):
        twin.set_weights(network.get_weights())
    first, second = (values(m.losses(a, b)["generators"]) for m in (one, other))
    ratios = {k: second[k] / first[k] for k in first}
    assert ratios == pytest.approx({"rec": 2.0, "dann": 3.0, "sem": 5.0, "gan": 7.0}, rel=1e-3)


def test_scores_pull_apart(built):
    """D's score is the mean of an image: 0.5 and -1 for real ones."""
    model = small()
    for name in ("discriminator_a", "discriminator_b"):
        setattr(model, name, lambda x, training: tf.reduce_mean(x, axis=(1, 2, 3))[:, None])
    model.crossed = lambda *codes: ((a, b), (tf.fill(a.shape, 0.25), tf.fill(a.shape, -0.75)))
    a, b = tf.fill([2, 16, 16, 3], 0.5), tf.fill([2, 16, 16, 3], -1.0)

    def softplus(*scores):
        return pytest.approx(sum(np.log1p(np.exp(x)) for x in scores), rel=1e-5)

    assert values(model.discriminators_loss(a, b)) == {
        "a": softplus(-0.5, 0.25),
        "b": softplus(1.0, -0.75),
    }
    assert float(model.losses(a, b)["generators"]["gan"]) == softplus(-0.25, 0.75)


def test_a_teacher(tmp_path):
    """Its numbers, at length 1, are the goal of the codes of A; it is no part of the model."""
    keras.Sequential(
        [keras.Input([16, 16, 3]), keras.layers.Flatten(), keras.layers.Dense(8)]
    ).save(tmp_path / "t.keras")
    model, a, b = small(teacher=str(tmp_path / "t.keras")), pictures(1), pictures(2)
    model.compile()
    goal = keras.models.load_model(tmp_path / "t.keras")(a).numpy()
    goal /= np.linalg.norm(goal, axis=1, keepdims=True)
    code_a, _ = model.codes(a, b)
    expected = 0.75 * np.abs(goal - code_a).sum(axis=1).mean()
    assert float(model.losses(a, b)["generators"]["teach"]) == pytest.approx(expected, rel=1e-4)
    assert len(model.weights) == len(small().weights)
    (tmp_path / "x.keras").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="model.teacher takes a network as a .keras file"):
        small(teacher=str(tmp_path / "x.keras")).compile()


def blobs(n, seed, sign):
    """Bright bumps at random places on dark, or the negative of such images: 16x16."""
    keys = np.random.RandomState(seed)
    y, x = np.mgrid[:16, :16]
    places = keys.uniform(4, 12, [n, 2, 1, 1])
    bump = np.exp(-((y - places[:, 0]) ** 2 + (x - places[:, 1]) ** 2) / 8)
    return tf.constant(sign * (1.6 * bump - 0.8)[..., None], "float32")


@pytest.mark.slow
@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_codes_hide_their_domain(weight):
    """400 steps on two domains of blobs: the critic is at chance with DANN, and above 0.9 without.

    The semantic loss is off: by itself it brings the codes of both domains together too (0.81
    right without DANN).
    """
    keras.utils.set_random_seed(0)
    model = small(image_shape=(16, 16, 1), dann_weight=weight, semantic_weight=0.0)
    model.compile({"generators": {"learning_rate": 1e-3}, "critic": {"learning_rate": 1e-3}})
    a, b = blobs(256, 0, 1.0), blobs(256, 1, -1.0)
    data = tf.data.Dataset.from_tensor_slices({"a": a, "b": b}).repeat().batch(32, True)
    model.fit(data, steps_per_epoch=400, shuffle=False, verbose=0)
    accuracy = model.domain_accuracy(blobs(256, 2, 1.0), blobs(256, 3, -1.0))
    assert 0.4 <= accuracy <= 0.65 if weight else accuracy > 0.9


def test_uses(built):
    a, b = pictures(1, n=5), pictures(2, n=5)
    found = {name: function(a) for name, (function, _) in built.endpoints().items()}
    assert found.keys() == {"serving_default", "a_to_b", "b_to_a", "encode", "encode_b"}
    code = built.encoder_shared(built.encoder_a(a))
    np.testing.assert_allclose(found["encode"]["code"], code, atol=1e-5)
    there = built.decoder_b(built.decoder_shared(code))
    np.testing.assert_allclose(found["a_to_b"]["image"], there, atol=1e-5)
    code = built.encoder_shared(built.encoder_b(b))
    np.testing.assert_allclose(
        built.translate(b, direction="b_to_a"),
        built.decoder_a(built.decoder_shared(code)),
        atol=1e-5,
    )
    assert built.preview({"a": a, "b": b}).shape == (8, 4, 16, 16, 3)
