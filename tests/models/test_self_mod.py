"""Self-modulation: 21,024 weights in 7 layers, plain normalization without them, what z changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.layers.conditional_norm import ConditionalNorm, LinearConditionalNorm
from tfgans.models.self_mod import SelfMod
from tfgans.models.sngan import SNGAN

CONTRACT = {"games": [{}, {"hinge": False}]}


def small(**settings):
    return SelfMod(**{
        "image_shape": (8, 8, 1), "latent_dim": 4, "generator_channels": (4, 4),
        "discriminator_channels": (4, 6), "discriminator_downs": 1, "hidden": 8,
    } | settings)  # fmt: skip


def modulated(network):
    return [layer for layer in network.layers if isinstance(layer, LinearConditionalNorm)]


def count(weights):
    return sum(int(np.prod(w.shape)) for w in weights)


def test_seven_layers_of_21024_weights():
    """As many as SNGAN's generator has batch normalizations; it has 2 x 256 weights in each."""
    model, plain = SelfMod(), SNGAN()
    layers = modulated(model.generator)
    assert [count(layer.trainable_weights) for layer in layers] == [21_024] * 7
    norms = [
        layer
        for layer in plain.generator.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 7
    found = count(model.generator.trainable_weights)
    assert found == count(plain.generator.trainable_weights) + 7 * (21_024 - 2 * 256)
    assert count(model.discriminator.trainable_weights) == count(
        plain.discriminator.trainable_weights
    )
    assert not any(isinstance(w, ConditionalNorm) for w in model.discriminator._flatten_layers())
    for layer in layers:
        for dense in (layer.hidden_layer, layer.to_gamma, layer.to_beta):
            assert dense.kernel.numpy().std() == pytest.approx(0.02, rel=0.05)
            assert np.all(dense.bias.numpy() == 0)  # the gain is 1 + to_gamma
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.0, 0.9)
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)


def test_without_its_last_kernels_it_is_the_plain_generator():
    """Gain 1 and bias 0: the images of SNGAN with the same other weights, and of any modulator."""
    model = small()
    plain = SNGAN(
        image_shape=(8, 8, 1), latent_dim=4, generator_channels=(4, 4),
        discriminator_channels=(4, 6), discriminator_downs=1,
    )  # fmt: skip
    others = [layer for layer in model.generator.layers if layer not in modulated(model.generator)]
    theirs = [
        layer
        for layer in plain.generator.layers
        if not isinstance(layer, keras.layers.BatchNormalization)
    ]
    for a, b in zip([w for x in others for w in x.weights],
                    [w for x in theirs for w in x.weights], strict=True):  # fmt: skip
        b.assign(a)
    z, modulator = tf.random.normal([2, 6, 4])
    before = model.generator([z, modulator], training=True)
    for layer in modulated(model.generator):
        for dense in (layer.to_gamma, layer.to_beta):
            dense.kernel.assign(tf.zeros(dense.kernel.shape))
    found = model.generator([z, modulator], training=True)
    np.testing.assert_allclose(found, plain.generator(z, training=True), atol=1e-5)
    assert np.abs(before - found).max() > 1e-4


def vivid(model):
    """Makes the modulation of a new model large enough to be seen."""
    for layer in modulated(model.generator):
        for dense in (layer.hidden_layer, layer.to_gamma, layer.to_beta):
            dense.kernel.assign(tf.random.normal(dense.kernel.shape))
    return model


def test_each_layer_is_modulated_by_z_itself_row_by_row():
    """The same map, modulators that differ in one row: in each layer, that row alone changes."""
    model = vivid(small())
    modulator = tf.random.normal([5, 4])
    other = tf.tensor_scatter_nd_add(modulator, [[3]], tf.ones([1, 4]))
    layers = modulated(model.generator)
    assert len(layers) == 3
    for layer in layers:
        assert layer.hidden_layer.kernel.shape == (4, 8)
        x = tf.random.normal([5, 4, 4, 4])
        found, changed = layer(x, modulator, training=True), layer(x, other, training=True)
        differs = np.abs(found - changed).max(axis=(1, 2, 3)) > 1e-4
        np.testing.assert_array_equal(differs, [False, False, False, True, False])
    values = [layer.hidden_layer.kernel.value for layer in layers]
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = tf.reduce_sum(model.generator([modulator, modulator], training=True) ** 3)
    assert all(np.abs(g).max() > 1e-6 for g in tape.gradient(loss, values))


def test_z_enters_at_the_bottom_and_in_all_norms():
    model = vivid(small())
    z = tf.random.normal([3, 4])
    image = model(z)
    np.testing.assert_allclose(image, model.generator([z, z], training=False))
    for inputs in ([0 * z, z], [z, 0 * z]):
        assert np.abs(image - model.generator(inputs, training=False)).max() > 1e-3
    seen = []
    model.generator = lambda inputs, training: seen.append((*inputs, training))
    with random.scope(0):
        model.generate(3)
    (bottom, modulator, training), = seen  # fmt: skip
    np.testing.assert_array_equal(bottom, modulator)
    assert training


def test_preview_shows_what_z_changes():
    """Six rows of samples; the first image of the last two rows is the first of all."""
    model = vivid(small())
    with random.scope(0):
        picture = model.preview({"image": np.zeros([64, 8, 8, 1], "float32")}).numpy()
    with random.scope(0):
        z = model.latents(48)
    assert picture.shape == (64, 8, 8, 1)
    np.testing.assert_allclose(picture[:48], model(z), atol=1e-5)
    first = tf.repeat(z[:1], 8, axis=0)
    for k, inputs in ((48, [first, z[:8]]), (56, [z[:8], first])):
        expected = model.generator(inputs, training=False)
        np.testing.assert_allclose(picture[k : k + 8], expected, atol=1e-5)
        np.testing.assert_allclose(picture[k], picture[0], atol=1e-5)


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("hinge", [True, False])
def test_losses_of_known_scores(hinge):
    """Real images at 2 and -4, fakes at 4 and -1; both kinds in one batch of D."""
    model = small(hinge=hinge)
    batches = []
    answers = iter([[2.0, -4.0, 4.0, -1.0], [4.0, -1.0]])

    def discriminator(images, training):
        batches.append(images)
        return tf.reshape(tf.constant(next(answers)), [-1, 1])

    model.discriminator = discriminator
    with random.scope(0):
        d = model.discriminator_loss(tf.fill([2, 8, 8, 1], 3.0))
        g = model.generator_loss(2)
    if hinge:
        expected = (0 + 5) / 2, (5 + 0) / 2, -(4 - 1) / 2
    else:
        expected = [
            (softplus(-2) + softplus(4)) / 2,
            (softplus(4) + softplus(-1)) / 2,
            (softplus(-4) + softplus(1)) / 2,
        ]
    found = [float(d["real"]), float(d["fake"]), float(g["fake"])]
    assert found == pytest.approx(expected, abs=1e-5)
    assert np.all(batches[0][:2] == 3.0) and np.abs(batches[0][2:]).max() <= 1.0
    assert batches[1].shape == (2, 8, 8, 1)


def test_order_of_moves():
    """Two moves of D, each on its own batch, then one of G."""
    model = small()
    moves = []
    model.update = lambda player, loss, *args, n=None: moves.append((player, *args, n)) or {}
    image = np.random.rand(6, 8, 8, 1).astype("float32")
    model.train_step({"image": tf.constant(image)})
    first, second, last = moves
    for k, (player, real, _) in enumerate((first, second)):
        assert player == "discriminator"
        np.testing.assert_array_equal(real, image[k::2])
    assert last == ("generator", 3)
