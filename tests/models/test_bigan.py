"""BiGAN: its losses, one move for all, the law of pairs, the encoder as inverse, the control."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable

from tfgans import random
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.models.bigan import BiGAN
from tfgans.optimizers import HoldThenDecay

CONTRACT = {"served": ["generator", "encoder"]}


def small(**settings):
    return BiGAN(**{"image_shape": (4, 4, 1), "latent_dim": 3, "width": 8} | settings)


ALI = {"image_shape": (32, 32, 3), "variant": "ali", "width": 64, "weight_decay": 0}


def test_losses_of_known_scores():
    """At 0: 0.693147 each; data pairs at 2 and samples at -2: D content, E and G not."""
    for model, factor in ((small(), 1.0), (small(**ALI), 2.0)):
        for data, sample, d, g in ((0.0, 0.0, 0.693147, 0.693147), (2.0, -2.0, 0.126928, 2.126928)):
            scores = tf.fill([4, 1], data), tf.fill([4, 1], sample)
            for loss, expected in ((model.discriminator_loss, d), (model.generator_loss, g)):
                total = sum(float(term) for term in loss(*scores).values())
                assert total == pytest.approx(factor * expected, abs=1e-5)


def test_data_pairs_are_real_images_with_their_encodings():
    model = small()
    real, z = tf.random.uniform([5, 4, 4, 1], -1, 1), tf.random.uniform([5, 3], -1, 1)
    seen = []
    model.discriminator = lambda pair, training: seen.append(pair) or tf.zeros([5, 1])
    model.score(real, z)
    (image, encoding), (fake, latent) = seen
    np.testing.assert_array_equal(image, real)
    np.testing.assert_allclose(encoding, model.encoder(real, training=True), atol=1e-6)
    np.testing.assert_allclose(fake, model.generator(z, training=True), atol=1e-6)
    np.testing.assert_array_equal(latent, z)
    assert np.abs(encoding).max() < 1


def test_all_players_move_at_once():
    """Each weight moves by the gradient of its own player's loss, all at the same weights."""
    model = small()
    model.compile({p: keras.optimizers.SGD(0.5) for p in ("discriminator", "generator")})
    real, z = tf.random.uniform([6, 4, 4, 1], -1, 1), tf.random.uniform([6, 3], -1, 1)
    expected = {}
    for player in model.players():
        values = [w.value for w in model.weights_of(player)]
        with tf.GradientTape() as tape:
            total = tf.add_n(list(model.losses(real, z)[player].values()))
        gradients = tape.gradient(total, values)
        assert all(np.abs(g).max() > 0 for g in gradients)  # E's too: E(x) is not detached
        expected[player] = [v.numpy() - 0.5 * g for v, g in zip(values, gradients, strict=True)]
    logs = model.update_together(model.losses, real, z)
    assert set(logs) == {
        f"{p}/{t}" for p in ("discriminator", "generator") for t in ("real", "fake", "decay")
    }
    for player, values in expected.items():
        for w, value in zip(model.weights_of(player), values, strict=True):
            np.testing.assert_allclose(w, value, atol=1e-6)


def test_weight_decay_adds_a_part_of_each_weight_to_its_gradient():
    model = small(weight_decay=0.1)
    values = [w.value for w in model.weights_of("generator")]
    with tf.GradientTape() as tape:
        loss = model.decay("generator", model.weight_decay)["decay"]
    for value, gradient in zip(values, tape.gradient(loss, values), strict=True):
        np.testing.assert_allclose(gradient, 0.1 * value, atol=1e-6)
    assert len(values) == 4 + 3 and model.decay("generator", 0.0) == {}


@pytest.mark.parametrize("inverse, expected", [(True, 0.693147), (False, 0.346574)])
def test_the_discriminator_judges_pairs(inverse, expected):
    """x, z in {0, 1}, G the identity: only E = identity makes both laws of pairs the same.

    A constant E has the same images on both sides, and still D tells them apart.
    """
    model = small(weight_decay=0)
    bits = tf.constant([[0.0], [1.0]])
    table = tf.Variable(tf.zeros([2, 2]))  # a score for each pair

    def discriminator(pair, training):
        x, z = (tf.concat([1.0 - v, v], axis=1) for v in pair)
        return tf.einsum("ni,nj,ij->n", x, z, table)

    model.discriminator = discriminator
    model.generator = lambda z, training: z
    model.encoder = lambda x, training: x if inverse else tf.zeros_like(x)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = tf.add_n(list(model.discriminator_loss(*model.score(bits, bits)).values()))
        table.assign_sub(8.0 * tape.gradient(loss, table))
    assert float(loss) == pytest.approx(expected, abs=0.01)


def mlp(sizes, outputs, activation, bias="zeros"):
    inputs = [keras.Input([size]) for size in sizes]
    x = keras.layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0]
    x = keras.layers.Dense(48, "leaky_relu")(keras.layers.Dense(48, "leaky_relu")(x))
    x = keras.layers.Dense(outputs, activation, bias_initializer=bias)(x)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], x)


@pytest.mark.thorough
def test_the_encoder_finds_back():
    """Eight prototypes in R^4: G(E(x)) is nearer to x than to another one.

    Some starts lose prototypes, and rounding decides which: one of five is enough.
    """
    assert any(finds_back(seed) for seed in range(5))


def finds_back(seed):
    keras.utils.set_random_seed(seed)
    model = small(latent_dim=2, weight_decay=0)
    model.generator, model.encoder = mlp([2], 4, None), mlp([4], 2, "tanh")
    model.discriminator = mlp([4, 2], 1, None)
    model.image_shape = (4,)
    model.compile({p: {"learning_rate": 1e-3} for p in ("discriminator", "generator")})
    keys = np.random.RandomState(0)
    prototypes = keys.randn(8, 4).astype("float32")
    (step,) = model.graphs({"image": tf.TensorSpec([64, 4])}).values()
    for i in range(1200):
        step({"image": tf.constant(prototypes[keys.randint(0, 8, 64)])})
        model.step.assign(i + 1)
    z = model.encoder(prototypes).numpy()
    error = np.mean((model.generator(z) - prototypes) ** 2)
    shuffled = np.mean([
        np.mean((model.generator(np.roll(z, k, axis=0)) - prototypes) ** 2) for k in range(1, 8)
    ])  # fmt: skip
    return error < 0.5 * shuffled


@pytest.mark.parametrize("bidirectional", [True, False])
def test_two_answers_to_one_encoding(bidirectional):
    """x is -1 or 1, and E says nothing: squared errors end at 0 between them, the game does not.

    A constant encoding tells D nothing, so D looks at x alone.
    """
    model = small(latent_dim=1, weight_decay=0, bidirectional=bidirectional)
    image, z = keras.Input([1]), keras.Input([1])
    model.image_shape = (1,)
    model.generator = mlp([1], 1, None, bias="ones")  # G(0) = 1 at first
    model.encoder = keras.Model(image, keras.layers.Rescaling(0.0)(image))
    model.discriminator = keras.Model([image, z], mlp([1], 1, None)(image))
    rate = {"learning_rate": 5e-3 if bidirectional else 2e-3}
    model.compile({player: rate for player in model.players()}, seed=1)
    real = tf.constant([[-1.0], [1.0]] * 32)
    assert float(model.reconstruct(real)[0, 0]) == 1.0
    (step,) = model.graphs({"image": tf.TensorSpec([64, 1])}).values()
    for i in range(600):
        step({"image": real})
        model.step.assign(i + 1)
    if bidirectional:
        assert np.abs(model.reconstruct(real)).max() < 0.1
    else:
        assert np.var(model.generator(np.linspace(-1, 1, 500)[:, np.newaxis])) > 0.5


@pytest.mark.parametrize("settings", [{}, ALI])
def test_errors_of_a_bidirectional_autoencoder(settings):
    """Sums over dimensions, means over the batch: 0.25 and 4 for each of them here."""
    model = small(**{"weight_decay": 0} | settings, latent_dim=3, bidirectional=True)
    n, pixels = 4, int(np.prod(model.image_shape))
    real, z = tf.fill([n, *model.image_shape], 0.5), tf.fill([n, 3], -1.0)
    seen = []
    outputs = tf.constant([[1.0, 1.0, 1.0, 9.0, 9.0, 9.0][: model.encoder.output_shape[1]]] * n)
    model.encoder = lambda image, training: seen.append(image) or outputs
    model.generator = lambda z, training: seen.append(z) or tf.zeros_like(real)
    terms = model.errors(real, z)
    assert float(terms["image"]) == pytest.approx(0.25 * pixels)
    assert float(terms["latent"]) == pytest.approx(4.0 * 3)
    encoded, code, latent, made = seen  # G(E(x)), and E(G(z))
    np.testing.assert_array_equal(encoded, real)
    np.testing.assert_array_equal(code, np.ones([n, 3]))  # for ALI the means
    np.testing.assert_array_equal(latent, z)
    np.testing.assert_array_equal(made, tf.zeros_like(real))


def test_a_bidirectional_autoencoder_is_one_player():
    """E and G go down both errors and the decay, under one optimizer; there is no D."""
    model = small(bidirectional=True)
    model.compile({"generator": keras.optimizers.SGD(0.01)}, run_eagerly=True)
    assert [*model.players()] == [*model.optimizers] == ["generator"]
    assert not hasattr(model, "discriminator")
    real, z = tf.random.uniform([6, 4, 4, 1], -1, 1), tf.random.uniform([6, 3], -1, 1)
    model.latents = lambda n: z
    weights = model.weights_of("generator")
    assert {id(w) for w in weights} == {
        id(w) for net in (model.generator, model.encoder) for w in net.trainable_weights
    }
    values = [w.value for w in weights]
    with tf.GradientTape(persistent=True) as tape:
        terms = model.errors(real, z)
        total = tf.add_n(list(terms.values()))
    assert all(
        np.abs(g).max() > 0  # neither the images made nor the encodings are held fixed
        for term in ("image", "latent")
        for g in tape.gradient(terms[term], values)
    )
    expected = [v - 0.01 * g for v, g in zip(values, tape.gradient(total, values), strict=True)]
    expected = [value.numpy() for value in expected]
    logs = model.train_step({"image": real})
    assert set(logs) == {"generator/image", "generator/latent", "generator/decay"}
    for w, value in zip(weights, expected, strict=True):
        np.testing.assert_allclose(w, value, atol=1e-6)
    again = BiGAN.from_config(model.get_config())
    assert again.bidirectional and not hasattr(again, "discriminator")
    assert [*Config.load("bigan-bidirectional").model] == ["bidirectional"]


def test_encode_and_reconstruct():
    model = small()
    image = tf.random.uniform([30, 4, 4, 1], -1, 1)
    z = model.encode(image)
    assert z.shape == (30, 3)
    np.testing.assert_array_equal(model.reconstruct(image), model(z))
    with random.scope(0):
        picture = model.preview({"image": image.numpy()}).numpy()
    assert picture.shape == (64, 4, 4, 1)
    for k in (0, 8, 16):
        np.testing.assert_array_equal(picture[2 * k : 2 * k + 8], image[k : k + 8])
        back = picture[2 * k + 8 : 2 * k + 16]
        np.testing.assert_allclose(back, model.reconstruct(image[k : k + 8]), atol=1e-5)


def test_ali_encodes_with_noise_and_trains():
    model = small(**ALI)
    model.compile(run_eagerly=True)
    image = tf.random.uniform([4, 32, 32, 3], -1, 1)
    mean = tf.constant([[0.5, -1.0, 2.0, *np.log([0.1, 0.2, 0.3])]] * 2000, tf.float32)
    encoder, model.encoder = model.encoder, lambda image, training: mean
    with random.scope(0):
        z = model.infer(image).numpy()
    np.testing.assert_allclose(z.mean(axis=0), [0.5, -1.0, 2.0], atol=0.03)
    np.testing.assert_allclose(z.std(axis=0), [0.1, 0.2, 0.3], rtol=0.1)
    np.testing.assert_array_equal(model.encode(image)[0], [0.5, -1.0, 2.0])
    model.encoder = encoder
    with random.scope(0):
        logs = model.train_step({"image": image})
    assert all(np.isfinite(value) for value in logs.values())
    assert model.sample(2, seed=0).shape == (2, 32, 32, 3)
    assert float(model.default_optimizers()["generator"].learning_rate) == pytest.approx(1e-4)


def test_learning_rate():
    optimizer = BiGAN(width=8).default_optimizers()["generator"]
    assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
    schedule = HoldThenDecay.from_config(optimizer._learning_rate.get_config())
    for step, part in ((0, 1.0), (78_000, 1.0), (117_000, 0.1), (156_000, 0.01), (10**6, 0.01)):
        assert float(schedule(step)) == pytest.approx(2e-4 * part, rel=1e-4)


def test_networks_for_mnist():
    """No bias and no gain anywhere; z enters every layer but D's first."""
    model, square = BiGAN(), 1024 * 1024
    assert trainable(model.generator) == 50 * 1024 + (square + 50 * 1024) + 1024 * 784
    assert trainable(model.encoder) == 784 * 1024 + square + 1024 * 50
    assert trainable(model.discriminator) == 784 * 1024 + (square + 50 * 1024) + 1024
    assert all(w.path.endswith("kernel") for p in model.players() for w in model.weights_of(p))
    norms = [
        sum(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)
        for network in (model.generator, model.encoder, model.discriminator)
    ]
    assert norms == [2, 1, 1]
    assert model.encoder.weights[0].numpy().std() == pytest.approx(0.02, rel=0.02)
    with random.scope(0):
        z = model.latents(2000).numpy()
    assert np.abs(z).max() <= 1 and z.std() == pytest.approx(3**-0.5, rel=0.02)


def test_networks_of_ali_for_cifar_10():
    """Counted by hand from the table; maxout of two halves the channels."""
    model = BiGAN(**Config.load("bigan-ali").model)
    convs = [(5, 3, 32), (4, 32, 64), (4, 64, 128), (4, 128, 256), (4, 256, 512), (1, 512, 512)]
    encoder = sum(k * k * a * b + 2 * b for k, a, b in convs) + 512 * 128 + 128
    assert trainable(model.encoder) == encoder
    convs = [(4, 64, 256), (4, 256, 128), (4, 128, 64), (4, 64, 32), (5, 32, 32), (1, 32, 32)]
    generator = sum(k * k * a * b + 2 * b for k, a, b in convs) + 32 * 3 + 32 * 32 * 3
    assert trainable(model.generator) == generator
    convs = [(5, 3, 32), (4, 16, 64), (4, 32, 128), (4, 64, 256), (4, 128, 512), (1, 64, 512),
             (1, 256, 512), (1, 512, 1024), (1, 512, 1024), (1, 512, 1)]  # fmt: skip
    biases = 32 + 1024 + 1024 + 1
    assert trainable(model.discriminator) == sum(k * k * a * b for k, a, b in convs) + biases
    sides = [w.output.shape[1] for w in model.encoder.layers if "conv2d" in w.name]
    assert sides == [28, 13, 10, 4, 1, 1, 1]


def test_what_cannot_be_built_is_said():
    with pytest.raises(BadInput, match="'bigan' or 'ali', not 'vae'"):
        small(variant="vae")
    with pytest.raises(BadInput, match="32x32 .* not 28x28"):
        BiGAN(variant="ali")
