"""NICE-GAN: encoders that only judges teach, the three judges, attention, mixed normalization."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans.models.nicegan import JUDGES, NICEGAN, Attention, MixedNorm

CONTRACT = {
    "served": ["discriminator_a", "discriminator_b", "generator_ab", "generator_ba"],
    "rate": 1e-4,
    # The judge's weights also multiply the features, undivided.
    "prepared": {Attention: lambda layer: layer.judge.layer.kernel.shape[0]},
}


def small(**settings):
    keras.utils.set_random_seed(0)
    sizes = {"image_shape": (48, 48, 3), "width": 4, "blocks": 1, "wide_halvings": 1}
    return NICEGAN(**sizes | {"weight_decay": 0.0} | settings)


def pictures(seed, n=2):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, 48, 48, 3]), "float32")


def test_networks_of_the_paper():
    with without_numbers():
        model = NICEGAN()
    assert trainable(model.discriminator_a) == trainable(model.discriminator_b) == 46_874_433
    found = {key: x.shape[1:] for key, x in model.discriminator_a.output.items()}
    assert found == {
        "score": (30, 30, 1),
        "wide": (6, 6, 1),
        "attended": (1,),
        "code": (64, 64, 128),
        "map": (64, 64, 1),
    }
    assert model.generator_ab.output_shape == (None, 256, 256, 3)
    # No other network: the encoders are parts of the discriminators.
    networks = [layer.name for layer in model.layers]
    assert sorted(networks) == [
        "discriminator_a",
        "discriminator_b",
        "generator_ab",
        "generator_ba",
    ]


def test_patches_of_70_and_of_286_pixels():
    """The field of each judge, from kernels of 4 and the strides on its way."""
    fields = []
    for strides in ([2, 2, 2, 1, 1], [2, 2, 2, 2, 2, 1, 1]):
        field = jump = 1
        for stride in strides:
            field, jump = field + 3 * jump, jump * stride
        fields.append(field)
    assert fields == [70, 286]
    with without_numbers():
        network = NICEGAN().discriminator_a
    convs = [
        x.layer for x in network.layers if isinstance(getattr(x, "layer", 0), keras.layers.Conv2D)
    ]
    assert sorted(x.strides[0] for x in convs) == [1] * 4 + [2] * 5
    assert {x.kernel_size for x in convs} == {(4, 4)}


def test_a_fake_in_the_discriminators_move_is_a_constant():
    """No gradient reaches a generator, so none reaches an encoder through one."""
    model = small()
    values = [w.value for w in model.weights_of("generators")]
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.add_n(list(model.discriminators_loss(pictures(0), pictures(1)).values()))
    assert all(g is None for g in tape.gradient(total, values))


def test_the_way_back_passes_through_the_other_encoder():
    """A generator's gradient of the cycle is that of both ways, through the other judge's code."""
    model = small()
    a, b = pictures(0), pictures(1)
    g_ab, g_ba = model.generator_ab, model.generator_ba
    d_a, d_b = model.discriminator_a, model.discriminator_b
    values = [w.value for w in g_ab.trainable_variables]

    def gradient(cycle):
        for w in (w for d in (d_a, d_b) for w in d.non_trainable_variables):
            w.assign(tf.ones_like(w))  # power iterations begin anew
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = cycle()
        return tape.gradient(loss, values)

    def by_hand():
        code_a, code_b = d_a(a, training=True)["code"], d_b(b, training=True)["code"]
        of_a = d_a(g_ba(code_b, training=True), training=True)["code"]
        of_b = d_b(g_ab(code_a, training=True), training=True)["code"]
        back_a, back_b = g_ba(of_b, training=True), g_ab(of_a, training=True)
        return 10.0 * (tf.reduce_mean(tf.abs(back_a - a)) + tf.reduce_mean(tf.abs(back_b - b)))

    expected = gradient(by_hand)
    assert max(float(tf.reduce_max(tf.abs(g))) for g in expected) > 1e-3
    for x, y in zip(gradient(lambda: model.generators_loss(a, b)["cycle"]), expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5)


def replaced(model, score):
    """Discriminators that give all three judges one score, and codes that are the images."""

    def judge(image, training):
        return {key: tf.fill([2, 3], score) for key in JUDGES} | {"code": image}

    model.discriminator_a = model.discriminator_b = judge
    model.generator_ab = model.generator_ba = lambda code, training: -code
    return model


def test_terms_of_known_networks():
    """Three judges, not halved; the way back returns all, the reconstruction is the negative."""
    a, b = pictures(0), pictures(1)
    model = replaced(small(), 0.25)
    d = model.discriminators_loss(a, b)
    assert float(d["a"]) == float(d["b"]) == pytest.approx(3 * (0.75**2 + 0.25**2))
    g = model.generators_loss(a, b)
    assert float(g["fake"]) == pytest.approx(2 * 3 * 0.75**2)
    assert float(g["cycle"]) == 0.0
    size = float(tf.reduce_mean(tf.abs(a)) + tf.reduce_mean(tf.abs(b)))
    assert float(g["reconstruction"]) == pytest.approx(10 * 2 * size, rel=1e-5)


def test_reconstruction_is_of_the_own_domain_and_the_way_back_of_both():
    """A of a's code comes from the generator to a, B's from that to b."""
    a, b = pictures(0), pictures(1)
    model = replaced(small(), 1.0)
    model.generator_ba = lambda code, training: code
    model.generator_ab = lambda code, training: 0.0 * code
    g = model.generators_loss(a, b)
    size = {"a": float(tf.reduce_mean(tf.abs(a))), "b": float(tf.reduce_mean(tf.abs(b)))}
    assert float(g["reconstruction"]) == pytest.approx(10 * size["b"], rel=1e-5)
    assert float(g["cycle"]) == pytest.approx(10 * (size["a"] + size["b"]), rel=1e-5)


def test_attention_starts_at_nothing_and_mixes_both_copies():
    """z = x at the start; with a strength, the sum of w_k x and w_(C + k) x through the mixture."""
    x = tf.constant(np.random.RandomState(0).randn(2, 3, 3, 4), "float32")
    layer = Attention()
    y, score, where = layer(x)
    np.testing.assert_array_equal(y, x)
    layer.mix.kernel.assign(tf.random.normal(layer.mix.kernel.shape))
    np.testing.assert_array_equal(layer(x)[0], x)
    found = np.where(x > 0, x, 0.2 * x).sum(axis=-1)  # the map sees what goes on, after the ReLU
    np.testing.assert_allclose(where[..., 0], found, atol=1e-5)
    w, kernel = layer.judge.layer.kernel.numpy()[:, 0], layer.mix.kernel.numpy()[0, 0]
    pooled = np.concatenate([x.numpy().mean((1, 2)), x.numpy().max((1, 2))], axis=1)
    expected = pooled @ w / np.linalg.norm(w)
    np.testing.assert_allclose(score[:, 0], expected, rtol=1e-4, atol=1e-5)
    layer.strength.assign([0.5])
    mixed = (w[:4] * x.numpy()) @ kernel[:4] + (w[4:] * x.numpy()) @ kernel[4:]
    np.testing.assert_allclose(layer(x)[0], x + 0.5 * mixed, atol=1e-4)


def test_shares_of_instance_and_layer_at_the_start():
    """e^3.2 / (e^3.2 + e) = 0.90025 instance in a residual block, 0.09975 elsewhere."""
    x = np.random.RandomState(0).randn(2, 3, 3, 4).astype("float32") * [1, 2, 3, 4] + [0, 5, 0, 0]
    x = x.astype("float32")

    def exact(axes):
        mean = x.mean(axis=axes, keepdims=True)
        return (x - mean) / np.sqrt(x.var(axis=axes, ddof=1, keepdims=True) + 1e-5)

    share = math.exp(3.2) / (math.exp(3.2) + math.e)
    assert share == pytest.approx(0.90025, abs=1e-5)
    mixed = (1 - share) * exact((1, 2)) + share * exact((1, 2, 3))
    np.testing.assert_allclose(MixedNorm((1.0, 3.2))(x), mixed, atol=2e-5)
    gain, shift = np.random.RandomState(1).randn(2, 2, 4).astype("float32")
    mixed = share * exact((1, 2)) + (1 - share) * exact((1, 2, 3))
    expected = gain[:, None, None] * mixed + shift[:, None, None]
    given = MixedNorm((3.2, 1.0), given=True)([x, gain, shift])
    np.testing.assert_allclose(given, expected, atol=5e-5)


def test_attention_map_is_scaled_for_each_image():
    model = small()
    found = model.attention(pictures(0), "b").numpy()
    assert found.shape == (2, 12, 12, 1)
    np.testing.assert_allclose(found.min(axis=(1, 2, 3)), 0.0, atol=1e-6)
    np.testing.assert_allclose(found.max(axis=(1, 2, 3)), 1.0, atol=1e-6)
