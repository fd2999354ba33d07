"""UNIT: which layers both domains share, terms of known codes, sizes of the authors' networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.unit import UNIT

ENCODERS, DECODERS = ("encoder_a", "encoder_b"), ("decoder_a", "decoder_b")
CONTRACT = {
    # Instance normalization of a few pixels makes steep gradients: they blow up any difference.
    "rate": 3e-5,
    "served": [*ENCODERS, "encoder_shared", "decoder_shared", *DECODERS],
}
SMALL = {
    "image_shape": (12, 12, 3),
    "width": 4,
    "blocks": 1,
    "discriminator_layers": 2,
    "weight_decay": 0.0,
}


def small(**settings):
    return UNIT(**(SMALL | settings))


def pictures(seed=0, n=2):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, 12, 12, 3]), "float32")


@pytest.fixture(scope="module")
def built():
    """A model that its tests leave as it is."""
    return small()


def values(terms):
    return {name: float(value) for name, value in terms.items()}


def test_networks_of_the_authors_code():
    """Counts by arithmetic; at 216x216 the six halvings leave 4x4 patches."""
    with without_numbers():
        model = UNIT()
    for name in ENCODERS:
        assert trainable(getattr(model, name)) == 3_918_976
    for name in DECODERS:
        assert trainable(getattr(model, name)) == 3_909_507
    for name in ("encoder_shared", "decoder_shared"):
        assert trainable(getattr(model, name)) == 1_180_160
    for word in "ab":
        judge = getattr(model, f"discriminator_{word}")
        assert trainable(judge) == 25_149_057 and judge.output_shape == (None, 4, 4, 1)
    assert model.encoder_a.output_shape == model.decoder_a.input_shape == (None, 54, 54, 256)
    assert model.decoder_b.output_shape == (None, 216, 216, 3)
    held = [layer for network in model.players()["generators"] for layer in network.layers]
    norms = [x for x in held if isinstance(x, keras.layers.GroupNormalization)]
    # two in each of 14 blocks, two on each of four ways; none after the first convolution
    assert len(norms) == 2 * (4 * 3 + 2) + 4 * 2
    assert not [x for x in norms if x.trainable_variables]
    counts = {player: sum(w.shape.num_elements() for w in model.weights_of(player))
              for player in model.players()}  # fmt: skip
    assert counts == {"discriminators": 2 * 25_149_057, "generators": 18_017_286}


def test_networks_for_faces():
    """Leaky ReLU alone outside of the blocks; D shares its last four layers and the score."""
    with without_numbers():
        model = UNIT(image_shape=(128, 128, 3), normalized=False, shared_layers=4)
    outer = [n for n in model.players()["generators"] if "shared" not in n.name]
    norms = [
        layer
        for network in outer
        for layer in network.layers
        if isinstance(layer, keras.layers.GroupNormalization)
    ]
    assert len(norms) == 4 * 2 * 3  # of the blocks alone
    slopes = {
        x.negative_slope for n in outer for x in n.layers if type(x) is keras.layers.LeakyReLU
    }
    assert {round(slope, 6) for slope in slopes} == {0.01}
    a, b = (getattr(model, f"discriminator_{word}") for word in "ab")
    common = {id(w) for w in a.trainable_variables} & {id(w) for w in b.trainable_variables}
    assert len(common) == 2 * 5
    kernels = [w.shape for w in a.trainable_variables if w.name == "kernel"]
    assert kernels[0] == (7, 7, 3, 64) and kernels[1] == (3, 3, 64, 128)
    assert kernels[-2:] == [(3, 3, 1024, 2048), (1, 1, 2048, 1)]
    with pytest.raises(BadInput, match="shares 2 of its 2 layers: set model.shared_layers"):
        small(shared_layers=2)
    with pytest.raises(BadInput, match="multiples of 4, not 30x32"):
        small(image_shape=(30, 32, 3))


def test_kernels_start_as_the_authors(built):
    for network in (built.encoder_a, built.decoder_b, built.discriminator_a):
        for w in network.trainable_variables:
            if w.name == "bias":
                assert np.all(w.numpy() == 0)
            elif w.shape.num_elements() > 500:
                assert w.numpy().std() == pytest.approx(0.02, rel=0.15)


def test_borders_are_zeros():
    """An image of one value is not seen as endless: only the border of the first map differs."""
    encoder = small().encoder_a
    first = next(x for x in encoder.layers if isinstance(x, keras.layers.Conv2D))
    maps = keras.Model(encoder.input, first.output)(tf.ones([1, 12, 12, 3])).numpy()[0]
    inside = maps[3:-3, 3:-3]
    np.testing.assert_allclose(inside, np.broadcast_to(inside[:1, :1], inside.shape), atol=1e-6)
    corner = first.kernel.numpy()[3:, 3:].sum(axis=(0, 1, 2))
    np.testing.assert_allclose(maps[0, 0], corner, atol=1e-5)


@pytest.mark.parametrize("name", ["encoder_shared", "decoder_shared"])
def test_the_middle_is_one_for_both_domains(name):
    """A change of it changes all four: both reconstructions, both translations."""
    model, a, b = small(), pictures(1), pictures(2)

    def outputs():
        with random.scope(0):
            _, same, fake = model.crossed(a, b)
        return [x.numpy() for x in (*same, *fake)]

    before = outputs()
    network = getattr(model, name)
    weights = network.trainable_variables
    assert len(weights) == 4  # two convolutions
    for w in weights:
        w.assign_add(0.1 * tf.random.stateless_normal(w.shape, [3, 4]))
    for old, new in zip(before, outputs(), strict=True):
        assert np.abs(old - new).max() > 1e-3


def test_own_parts_reach_their_domain_alone():
    """Encoder A changes a's code alone, decoder A images of A alone."""
    model, a, b = small(), pictures(1), pictures(2)

    def outputs():
        with random.scope(0):
            _, (same_a, same_b), (fake_a, fake_b) = model.crossed(a, b)
        return {"aa": same_a, "bb": same_b, "ba": fake_a, "ab": fake_b}  # from, to

    for name, reached in (("encoder_a", {"aa", "ab"}), ("decoder_a", {"aa", "ba"})):
        before = outputs()
        w = getattr(model, name).trainable_variables[0]
        w.assign_add(0.1 * tf.random.stateless_normal(w.shape, [3, 4]))
        after = outputs()
        assert {k for k in after if np.abs(before[k] - after[k]).max() > 1e-6} == reached


def test_equal_decoders_make_equal_images():
    """One noise for both decoders: with the weights of A in B, a in B is a in A."""
    model, a, b = small(), pictures(1), pictures(2)
    model.decoder_b.set_weights(model.decoder_a.get_weights())
    with random.scope(0):
        _, (same_a, same_b), (fake_a, fake_b) = model.crossed(a, b)
    np.testing.assert_array_equal(same_a, fake_b)
    np.testing.assert_array_equal(same_b, fake_a)
    assert np.abs(same_a - same_b).max() > 1e-3


def replaced(model, mean=0.0, score=0.0, image=0.0):
    """The model with constant codes, scores, and images of both decoders."""
    model.encoder_shared = lambda maps, training: tf.fill(maps.shape, mean)
    for name in ("discriminator_a", "discriminator_b"):
        setattr(model, name, lambda x, training: tf.fill([len(x), 3, 3, 1], score))
    for name in DECODERS:
        setattr(model, name, lambda x, training: tf.fill([len(x), 12, 12, 3], image))
    return model


def test_terms_of_known_codes_and_scores():
    """Codes 3: KL 0.1 * 2 * 9 = 1.8 twice; scores 0: the game is 10 * 2 ln 2 = 13.86."""
    a, b = pictures(1), pictures(2)
    model = replaced(small(), mean=3.0)
    with random.scope(0):
        g, d = model.generators_loss(a, b), model.discriminators_loss(a, b)
    size = np.abs(a).mean() + np.abs(b).mean()
    assert values(g) == pytest.approx(
        {
            "fake": 13.8629,
            "reconstruction": 100 * size,
            "kl": 1.8,
            "cycle": 100 * size,
            "kl_cycle": 1.8,
        },
        rel=1e-5,
    )
    assert values(d) == pytest.approx({"a": 13.8629, "b": 13.8629}, rel=1e-5)
    others = {
        "adversarial_weight": 1.0,
        "reconstruction_weight": 2.0,
        "kl_weight": 3.0,
        "cycle_weight": 4.0,
        "kl_cycle_weight": 5.0,
    }
    model = replaced(small(**others), mean=1.0, image=0.5)
    with random.scope(0):
        g = values(model.generators_loss(a, b))
    size = np.abs(a - 0.5).mean() + np.abs(b - 0.5).mean()
    wanted = 2 * np.log(2), 2 * size, 6.0, 4 * size, 10.0
    assert list(g.values()) == pytest.approx(wanted, rel=1e-5)


def test_scores_pull_apart():
    """D's score is the mean of an image: 0.5 and -1 for real ones, 0.25 for translations."""
    model = replaced(small(adversarial_weight=2.0), image=0.25)
    for name in ("discriminator_a", "discriminator_b"):
        setattr(model, name, lambda x, training: tf.reduce_mean(x, axis=(1, 2, 3))[:, None])
    a, b = tf.fill([2, 12, 12, 3], 0.5), tf.fill([2, 12, 12, 3], -1.0)
    with random.scope(0):
        d, g = model.discriminators_loss(a, b), model.generators_loss(a, b)

    def softplus(*scores):
        return pytest.approx(2.0 * sum(np.log1p(np.exp(x)) for x in scores), rel=1e-5)

    assert values(d) == {"a": softplus(-0.5, 0.25), "b": softplus(1.0, 0.25)}
    assert float(g["fake"]) == softplus(-0.25, -0.25)


def test_the_noise_has_deviation_one_in_training_alone(built):
    """KL is taken of the mean: codes of zeros have none, though the decoders see noise."""
    mean = tf.zeros([64, 3, 3, 16])
    with random.scope(0):
        noisy, clean = built.noise(mean, training=True), built.noise(mean, training=False)
        again = built.noise(mean, training=True)
    assert noisy.numpy().std() == pytest.approx(1.0, abs=0.03)
    assert np.abs(clean).max() == 0 and np.abs(noisy - again).max() > 1
    seen = []
    model = replaced(small())
    shared = model.decoder_shared
    model.decoder_shared = lambda code, training: seen.append(code) or shared(code)
    with random.scope(0):
        terms = values(model.generators_loss(pictures(1), pictures(2)))
    assert terms["kl"] == terms["kl_cycle"] == 0
    assert len(seen) == 3 and all(0.8 < code.numpy().std() < 1.2 for code in seen)


def recorded(model):
    """The model, and the images that each encoder and discriminator is given, in their order."""
    seen = {}
    for name in (*ENCODERS, "discriminator_a", "discriminator_b"):
        network = getattr(model, name)

        def watched(image, training, name=name, network=network):
            seen.setdefault(name, []).append(np.asarray(image))
            return network(image, training=training)

        setattr(model, name, watched)
    return model, seen


def test_each_image_meets_the_networks_of_its_domain():
    """D sees real images and translations, never a reconstruction."""
    (model, seen), a, b = recorded(small()), pictures(1), pictures(2)
    with random.scope(0):
        model.discriminators_loss(a, b)
    with random.scope(0):
        _, (same_a, same_b), (fake_a, fake_b) = model.crossed(a, b)
    for word, real, fake, same in (("a", a, fake_a, same_a), ("b", b, fake_b, same_b)):
        found = seen[f"discriminator_{word}"]
        np.testing.assert_array_equal(found, [real, fake])
        assert np.abs(found - same.numpy()).min(axis=0).max() > 1e-3
    seen.clear()
    with random.scope(0):
        model.generators_loss(a, b)
    wanted = {
        "encoder_a": [a, fake_a],
        "encoder_b": [b, fake_b],
        "discriminator_a": [fake_a],
        "discriminator_b": [fake_b],
    }
    for name, given in wanted.items():
        np.testing.assert_array_equal(seen[name], given, name)


def test_the_way_back_ends_in_its_own_domain():
    """Decoders that paint their domain: 0.5 for A, -0.25 for B; cycles compare a with A's."""
    model, a, b = small(cycle_weight=1.0), pictures(1), pictures(2)
    for name, value in (("decoder_a", 0.5), ("decoder_b", -0.25)):
        setattr(model, name, lambda x, training, value=value: tf.fill([len(x), 12, 12, 3], value))
    with random.scope(0):
        terms = values(model.generators_loss(a, b))
    expected = np.abs(a - 0.5).mean() + np.abs(b + 0.25).mean()
    assert terms["cycle"] == pytest.approx(expected, rel=1e-5)
    assert terms["reconstruction"] == pytest.approx(100 * expected, rel=1e-5)


def test_decay_adds_the_weights_to_the_gradient():
    """As Torch's Adam does: the gradient of the term is weight_decay * w, shared weights once."""
    model = small(weight_decay=0.5, shared_layers=1)
    for player in model.players():
        weights = [w.value for w in model.weights_of(player)]
        assert len({id(w) for w in model.weights_of(player)}) == len(weights)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            term = model.decay(player, model.weight_decay)["decay"]
        for w, gradient in zip(weights, tape.gradient(term, weights), strict=True):
            np.testing.assert_allclose(gradient, 0.5 * w, atol=1e-6)
    with random.scope(0):
        a, b = pictures(1), pictures(2)
        assert "decay" in model.generators_loss(a, b) and "decay" in model.discriminators_loss(a, b)
    assert UNIT.__init__.__defaults__[-1] == 1e-4


def test_discriminators_move_first():
    model, moves = small(), []
    model.compile()
    for optimizer in model.optimizers.values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
        assert float(optimizer.learning_rate) == pytest.approx(1e-4)
    update = model.update
    model.update = lambda player, *args: moves.append(player) or update(player, *args)
    with random.scope(0):
        model.train_step({"a": pictures(1), "b": pictures(2)})
    assert moves == ["discriminators", "generators"]


def test_uses(built):
    """No noise in use; reconstructions, translations and ways back in the grid."""
    a, b = pictures(1, n=5), pictures(2, n=5)
    found = {name: function(a) for name, (function, _) in built.endpoints().items()}
    assert found.keys() == {"serving_default", "a_to_b", "b_to_a", "encode", "encode_b"}
    code = built.encoder_shared(built.encoder_a(a))
    np.testing.assert_allclose(found["encode"]["code"], code, atol=1e-5)
    there = built.decoder_b(built.decoder_shared(code))
    np.testing.assert_allclose(found["a_to_b"]["image"], there, atol=1e-5)
    np.testing.assert_array_equal(found["serving_default"]["image"], found["a_to_b"]["image"])
    assert np.abs(found["encode_b"]["code"] - code).max() > 1e-3
    table = built.preview({"a": a, "b": b})
    assert table.shape == (8, 4, 12, 12, 3)
    np.testing.assert_array_equal(table[:4, 0], a[:4])
    np.testing.assert_array_equal(table[4:, 0], b[:4])
    for rows, own, other in ((slice(4), "a", "b"), (slice(4, 8), "b", "a")):
        image, same, fake, back = np.moveaxis(table[rows], 1, 0)
        code = built.encode(image, own)
        np.testing.assert_allclose(same, built.decode(code, own), atol=1e-5)
        np.testing.assert_allclose(fake, built.decode(code, other), atol=1e-5)
        again = built.decode(built.encode(fake, other), own)
        np.testing.assert_allclose(back, again, atol=1e-4)
