"""O-GAN: the paper's one loss, a score and a direction apart, the best difference, encodings."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable

from tfgans import random
from tfgans.config import Config
from tfgans.models.o_gan import OGAN, correlation, direction, score


def replace_score(rows, outputs, score):
    """A vector with a planted mean: in this paper, real images have the low ones."""
    return outputs - tf.reduce_mean(outputs, axis=1, keepdims=True) - score


CONTRACT = {"replace_score": replace_score, "served": ["generator", "discriminator"]}


def small(**settings):
    """Its vectors have deviations near 1, as after a training."""
    model = OGAN(**{"image_shape": (8, 8, 1), "latent_dim": 6, "width": 4} | settings)
    kernel = model.discriminator.layers[-1].kernel
    kernel.assign(50.0 * kernel)
    return model


def batch(n=5):
    keys = np.random.RandomState(0)
    return [
        tf.constant(x, "float32") for x in (keys.uniform(-1, 1, [n, 8, 8, 1]), keys.randn(n, 6))
    ]


def planted(model, real_vector, fake_vector, fake):
    """Vectors and fakes that are known: the discriminator sees the real images first."""
    vectors = iter([real_vector, fake_vector])
    model.generator = lambda z, training: fake
    model.discriminator = lambda image, training: next(vectors)


def test_gradients_are_those_of_the_papers_one_loss():
    """With its stopped gradients, written out; both players move from the same weights."""
    model = small(correlation_weight=0.7)
    sgd = {player: keras.optimizers.SGD(0.5) for player in ("discriminator", "generator")}
    model.compile(sgd)
    real, z = batch()
    values = {player: [w.value for w in model.weights_of(player)] for player in sgd}
    with tf.GradientTape(persistent=True) as tape:
        fake = model.generator(z, training=True)
        stopped = tf.stop_gradient(fake)
        real_score = tf.reduce_mean(model.discriminator(real, training=True), axis=1)
        fake_vector = model.discriminator(fake, training=True)
        fake_score = tf.reduce_mean(fake_vector, axis=1)
        stopped_score = tf.reduce_mean(model.discriminator(stopped, training=True), axis=1)
        t1, t2 = real_score - stopped_score, fake_score - stopped_score
        rho = [  # by its definition, over the components of one vector
            tf.reduce_sum((a - tf.reduce_mean(a)) * (b - tf.reduce_mean(b)))
            / (6 * tf.math.reduce_std(a) * tf.math.reduce_std(b))
            for a, b in zip(tf.unstack(z), tf.unstack(fake_vector), strict=True)
        ]
        distance = tf.reduce_mean(tf.square(real - stopped), axis=[1, 2, 3])
        quadratic = 0.25 * tf.square(t1) / distance
        loss = tf.reduce_mean(t1 + t2 - 0.7 * tf.stack(rho)) + tf.reduce_mean(quadratic)
        second, for_g = tf.reduce_mean(t2), tf.reduce_mean(fake_score)
    for gradient in tape.gradient(second, values["discriminator"]):
        assert np.abs(gradient).max() < 1e-7
    pairs = [tape.gradient(x, values["generator"]) for x in (second, for_g)]
    for a, b in zip(*pairs, strict=True):
        assert np.abs(a).max() > 1e-8
        np.testing.assert_allclose(a, b, atol=1e-8)
    expected = {
        player: [
            (v.numpy() - 0.5 * g, 0.5 * np.abs(g).max())
            for v, g in zip(own, tape.gradient(loss, own), strict=True)
        ]
        for player, own in values.items()
    }
    logs = model.update_together(model.losses, real, z)
    for player, own in expected.items():
        for w, (value, moved) in zip(model.weights_of(player), own, strict=True):
            assert moved > 1e-4, w.path
            np.testing.assert_allclose(w, value, atol=1e-6 + 1e-4 * moved, err_msg=w.path)
    d = sum(float(v) for k, v in logs.items() if k.startswith("discriminator"))
    assert d == pytest.approx(float(loss), abs=1e-5)  # t2 is 0
    assert float(logs["generator/fake"]) == pytest.approx(float(for_g), abs=1e-6)


def test_score_and_direction_are_apart():
    """A constant on E shifts D by it and nothing else; a factor does not turn the direction."""
    model = small()
    real, z = batch()
    before, encoding = model.losses(real, z), model.encode(real)
    vector = model.discriminator(real, training=False)
    *_, dense = model.discriminator.layers
    dense.bias.assign(dense.bias + 3.0)
    after = model.losses(real, z)
    shifted = model.discriminator(real, training=False)
    np.testing.assert_allclose(score(shifted), score(vector) + 3.0, atol=1e-5)
    for player in before:
        for term in before[player]:
            shift = 3.0 if term == "fake" else 0.0
            assert float(after[player][term]) == pytest.approx(
                float(before[player][term]) + shift, abs=1e-6 if term == "correlation" else 1e-5
            )
    np.testing.assert_allclose(model.encode(real), encoding, atol=1e-4)
    np.testing.assert_allclose(correlation(z, 5 * z[::-1] - 2), correlation(z, z[::-1]), atol=1e-6)


def test_the_two_parts_pull_at_right_angles():
    """D's slope in E(x) has no part beside the mean, the correlation's none along it or E(x)."""
    z, vector = tf.random.normal([9, 12], seed=1), tf.random.normal([9, 12], 2.0, seed=2)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(vector)
        d, rho = score(vector), correlation(z, vector)
    of_score, of_rho = tape.gradient(d, vector), tape.gradient(rho, vector)
    np.testing.assert_array_equal(of_score, np.full([9, 12], 1 / 12, "float32"))
    assert np.linalg.norm(of_rho, axis=1).min() > 0.05
    np.testing.assert_allclose(tf.reduce_sum(of_rho, axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(tf.reduce_sum(of_rho * vector, axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(tf.norm(direction(vector), axis=1), 1.0, atol=1e-6)


def test_correlations_by_numbers():
    keys = np.random.RandomState(0)
    a, b = (tf.constant(keys.randn(4096, 128), "float32") for _ in range(2))
    np.testing.assert_allclose(correlation(a, a), 1.0, atol=1e-5)
    np.testing.assert_allclose(correlation(a, 1 - 2 * a), -1.0, atol=1e-5)
    rho = correlation(a, b).numpy()
    assert rho.shape == (4096,) and abs(rho.mean()) < 0.01
    assert rho.std() == pytest.approx(0.088, abs=0.005)
    by_numpy = [np.corrcoef(x, y)[0, 1] for x, y in zip(a[:20].numpy(), b[:20].numpy())]  # noqa: B905
    np.testing.assert_allclose(rho[:20], by_numpy, atol=1e-5)


def test_losses_of_known_vectors():
    """Scores 3 and 1, distance 4: t = 2, t^2 / 4d = 0.25. The correlation is with the own z."""
    model = small()
    z = tf.random.normal([2, 6], seed=3)
    wave = tf.constant([[1.0, -1, 1, -1, 1, -1]] * 2)
    for vectors, rho in ((2 * z, 1.0), (-z, -1.0), (z[::-1], float(correlation(z, z[::-1])[0]))):
        centered = vectors - tf.reduce_mean(vectors, axis=1, keepdims=True)
        planted(model, 3.0 + wave, 1.0 + centered, -tf.ones([2, 8, 8, 1]))
        found = model.losses(tf.ones([2, 8, 8, 1]), z)
        wanted = {"difference": 2.0, "quadratic": 0.25, "correlation": -0.5 * rho}
        assert found.keys() == {"discriminator", "generator"}
        assert found["discriminator"].keys() == wanted.keys()
        for term, value in wanted.items():
            assert float(found["discriminator"][term]) == pytest.approx(value, abs=1e-5)
        assert found["generator"].keys() == {"fake", "correlation"}
        assert float(found["generator"]["fake"]) == pytest.approx(1.0, abs=1e-5)
        assert float(found["generator"]["correlation"]) == pytest.approx(-0.5 * rho, abs=1e-5)


def test_the_best_difference_of_free_scores():
    """t + t^2 / 4d is least at t = -2d, where it is -d: d is the distance of each own pair."""
    model = small()
    gray, d = tf.constant([0.5, 1.0]), np.array([0.25, 1.0])
    fake = tf.zeros([2, 8, 8, 1])
    real = fake + tf.reshape(gray, [2, 1, 1, 1])
    for off, slope in ((0.0, [0.0, 0.0]), (1.0, 0.5 / d / 2)):
        t = tf.constant(-2 * d + off, "float32")
        with tf.GradientTape() as tape:
            tape.watch(t)
            planted(model, tf.tile(t[:, tf.newaxis], [1, 6]), tf.zeros([2, 6]), fake)
            terms = model.losses(real, tf.random.normal([2, 6]))["discriminator"]
            loss = terms["difference"] + terms["quadratic"]
        np.testing.assert_allclose(tape.gradient(loss, t), slope, atol=1e-6)
        if off == 0.0:
            assert float(loss) == pytest.approx(-d.mean(), abs=1e-6)


def test_an_encoding_does_not_depend_on_the_batch():
    model = small(image_shape=(16, 16, 1))
    network = model.discriminator
    assert any(isinstance(w, keras.layers.BatchNormalization) for w in network.layers)
    before, image = network.get_weights(), tf.random.uniform([3, 16, 16, 1], -1, 1)
    np.testing.assert_allclose(model.encode(image)[:1], model.encode(image[:1]), atol=1e-4)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_encode_and_reconstruct():
    """The encoding is the discriminator's own vector, with mean 0 and deviation 1."""
    model = small()
    for w in model.discriminator.weights:  # moving averages that are no batch's
        w.assign(w + 0.1)
    image = batch(30)[0]
    z = model.encode(image).numpy()
    vector = model.discriminator(image, training=False).numpy()
    expected = vector - vector.mean(axis=1, keepdims=True)
    expected /= expected.std(axis=1, keepdims=True)
    np.testing.assert_allclose(z, expected, atol=1e-4)
    np.testing.assert_allclose(model.reconstruct(image), model(0.9 * z), atol=1e-5)
    with random.scope(0):
        picture = model.preview({"image": image.numpy()}).numpy()
    assert picture.shape == (64, 8, 8, 1)
    for k in (0, 8, 16):
        np.testing.assert_array_equal(picture[2 * k : 2 * k + 8], image[k : k + 8])
        back = picture[2 * k + 8 : 2 * k + 16]
        np.testing.assert_allclose(back, model.reconstruct(image[k : k + 8]), atol=1e-5)
    with random.scope(0):
        np.testing.assert_allclose(picture[48:], model(model.latents(16)), atol=1e-5)


def test_setting_for_celeba_hq(monkeypatch):
    """Counted by hand. There is one network for the score and the encoding, with one output."""
    zeros = keras.initializers.Zeros()  # 30 million random numbers take longer than the test
    normal = keras.initializers.RandomNormal
    deviations = []

    def draw(self, shape, dtype=None):
        deviations.append((self.mean, self.stddev))
        return zeros(shape, dtype)

    monkeypatch.setattr(normal, "__call__", draw)
    model = OGAN()
    assert set(deviations) == {(0.0, 0.02), (1.0, 0.02)}
    convs = 25 * (64 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    discriminator = 25 * 3 * 64 + 64 + convs + 2 * (128 + 256 + 512 + 1024) + 16384 * 128 + 128
    assert trainable(model.discriminator) == discriminator == 19_513_984
    generator = 128 * 16384 + convs + 25 * 64 * 3 + 2 * (64 + 128 + 256 + 512 + 1024)
    assert trainable(model.generator) == generator == 19_513_920
    assert model.discriminator.output.shape == (None, 128)
    norms = [
        [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
        for network in (model.generator, model.discriminator)
    ]
    assert [len(found) for found in norms] == [5, 4]
    assert {layer.epsilon for found in norms for layer in found} == {1e-3}
    assert norms[0][0].gamma.shape == (1024,)  # per channel, also before the first map
    for layer in model.discriminator.layers:
        if isinstance(layer, keras.layers.LeakyReLU):
            assert layer.negative_slope == pytest.approx(0.2)
    for optimizer in model.default_optimizers().values():
        assert isinstance(optimizer, keras.optimizers.RMSprop)
        assert (optimizer.rho, optimizer.momentum, optimizer.centered) == (0.99, 0.0, False)
        assert float(optimizer.learning_rate) == pytest.approx(1e-4)
    assert model.correlation_weight == 0.5 and Config.load("o_gan").data.batch_size == 64


def test_rmsprop_is_that_of_keras_2():
    """w -= rate * g / (sqrt(mean of g^2) + 1e-7), for gradients well above and well below 1e-7."""
    for g in (0.1, 1e-12):
        optimizer, w, mean = small().default_optimizers()["generator"], keras.Variable([0.0]), 0.0
        expected = 0.0
        for _ in range(3):
            optimizer.apply([tf.constant([g])], [w])
            mean = 0.99 * mean + 0.01 * g * g
            expected -= 1e-4 * g / (mean**0.5 + 1e-7)
        assert float(w.numpy()[0]) == pytest.approx(expected, rel=1e-2)


def test_latents_are_normal():
    with random.scope(0):
        z = small().latents(4096).numpy()
    assert np.abs(z).max() > 3 and z.std() == pytest.approx(1.0, abs=0.02)
