"""VAE: both terms by numbers, the draw, the bound of the likelihood, the networks of the study."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from tfgans import random
from tfgans.models.vae import VAE

CONTRACT = {"games": [], "served": ["encoder", "decoder"]}


def small(**settings):
    return VAE(
        **{"image_shape": (8, 8, 1), "latent_dim": 3, "dense_width": 8, "width": 2} | settings
    )


def black_and_white(*shape):
    return tf.constant(np.random.choice([-1.0, 1.0], shape), "float32")


@pytest.mark.parametrize("shape, expected", [((28, 28, 1), 543.427), ((32, 32, 3), 2129.35)])
def test_undecided_decoder_costs_log_2_for_each_pixel_of_each_channel(shape, expected):
    """784 ln 2 and 3072 ln 2: a sum over height, width and channels, a mean over the batch."""
    image = black_and_white(2, *shape)
    assert float(small().reconstruction(image, tf.zeros(image.shape))) == pytest.approx(
        expected, abs=1e-3 * (expected / 500)
    )


def test_likelihood_is_that_of_pixels_between_0_and_1():
    """-t log s - (1 - t) log(1 - s), with t = (x + 1) / 2 and s = sigmoid(logits)."""
    image = tf.constant(np.random.uniform(-1, 1, [4, 8, 8, 1]), "float32")
    logits = tf.random.normal([4, 8, 8, 1], stddev=3.0)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = small().reconstruction(image, logits)
    t, s = (image.numpy().astype("float64") + 1) / 2, 1 / (1 + np.exp(-logits.numpy()))
    terms = -t * np.log(s) - (1 - t) * np.log(1 - s)
    assert float(loss) == pytest.approx(terms.sum(axis=(1, 2, 3)).mean(), rel=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, logits), (s - t) / 4, atol=1e-6)
    sure = 50.0 * black_and_white(1, 8, 8, 1)
    assert float(small().reconstruction(sure / 50.0, sure)) == pytest.approx(0.0, abs=1e-6)
    assert float(small().reconstruction(-sure / 50.0, sure)) == pytest.approx(64 * 50.0)


def test_divergence_from_the_prior():
    """Mean 1 and deviation 0.5: 0.818147 for each latent, 52.361 for 64; 0 for the prior itself."""
    model = small()
    one, half = tf.ones([5, 64]), tf.fill([5, 64], 0.5)
    assert float(model.divergence(one, half)) == pytest.approx(52.361, abs=1e-3)
    assert float(model.divergence(0.0 * one, one)) == pytest.approx(0.0, abs=1e-6)
    mixed = model.divergence(tf.constant([[1.0], [0.0]]), tf.constant([[0.5], [1.0]]))
    assert float(mixed) == pytest.approx(0.818147 / 2, abs=1e-5)


def given_posterior(model, mean, deviation):
    """Makes the encoder say the same of all images."""
    before_softplus = np.log(np.expm1(deviation))
    row = tf.constant([[mean] * model.latent_dim + [before_softplus] * model.latent_dim], "float32")
    model.encoder = lambda image, training: tf.repeat(row, len(image), axis=0)


def test_the_draw_and_the_divergence_see_the_same_deviation():
    """Each image gets one latent from N(1, 0.5^2), and pays KL for just this distribution."""
    model = small()
    given_posterior(model, 1.0, 0.5)
    seen = []
    model.decoder = lambda z, training: seen.append(z) or tf.zeros([len(z), 8, 8, 1])
    image = black_and_white(5000, 8, 8, 1)
    with random.scope(0):
        terms = model.autoencoder_loss(image)
    assert set(terms) == {"reconstruction", "kl"}
    assert float(terms["kl"]) == pytest.approx(3 * 0.818147, abs=1e-4)
    assert float(terms["reconstruction"]) == pytest.approx(64 * np.log(2), abs=1e-3)
    z = seen[0].numpy()
    assert z.shape == (5000, 3)
    np.testing.assert_allclose(z.mean(axis=0), 1.0, atol=0.03)
    np.testing.assert_allclose(z.std(axis=0), 0.5, atol=0.02)
    assert np.abs(np.corrcoef(z.T) - np.eye(3)).max() < 0.05
    given_posterior(model, 1.0, 1e-7)
    assert model.posterior(image)[1].numpy().min() >= 1e-6  # log(deviation) stays finite


def test_reconstruction_reaches_the_encoder_through_the_draw():
    """Both halves of its last layer, mean and deviation, have a gradient without KL."""
    model = small()
    last = model.encoder.layers[-1].kernel.value
    with tf.GradientTape() as tape, random.scope(0):
        tape.watch(last)
        loss = model.autoencoder_loss(black_and_white(4, 8, 8, 1))["reconstruction"]
    gradient = np.abs(tape.gradient(loss, last))
    assert gradient[:, :3].max() > 1e-4 and gradient[:, 3:].max() > 1e-4


def test_the_bound_is_exact_where_latents_say_nothing():
    """q = p(z) and a decoder that ignores z: the loss is -log p(x) itself."""
    model = small()
    given_posterior(model, 0.0, 1.0)
    logits = tf.random.normal([8, 8, 1])
    model.decoder = lambda z, training: tf.stack([logits] * len(z))
    image = black_and_white(6, 8, 8, 1)
    with random.scope(0):
        loss = tf.add_n(list(model.autoencoder_loss(image).values()))
    probability = 1 / (1 + np.exp(-image.numpy() * logits))  # of the color that is there
    assert float(loss) == pytest.approx(-np.log(probability).sum(axis=(1, 2, 3)).mean(), rel=1e-5)


def importance_estimate(model, image, k=256):
    """-log p(x) of each image: log mean of p(x | z) p(z) / q(z | x) over k draws of q."""
    mean, deviation = (x.numpy()[:, None] for x in model.posterior(image))
    noise = np.random.randn(len(image), k, model.latent_dim)
    z = (mean + deviation * noise).astype("float32")
    logits = model.decoder(z.reshape(-1, model.latent_dim)).numpy()
    logits = logits.reshape(len(image), k, -1)
    sign = image.numpy().reshape(len(image), 1, -1)
    log_x = -np.logaddexp(0, -sign * logits).sum(axis=2)  # log p(x | z)
    log_z = -0.5 * (z**2).sum(axis=2)  # log p(z) and log q(z | x) without their common factor
    log_q = (-0.5 * noise**2 - np.log(deviation)).sum(axis=2)
    return np.log(k) - logsumexp(log_x + log_z - log_q, axis=1)


def test_the_loss_is_a_bound_of_the_likelihood():
    """A trained model on images of two bars: NLL + KL is above -log p(x), and not far."""
    model = small(latent_dim=2, dense_width=16)
    model.compile({"autoencoder": {"learning_rate": 1e-2}})
    places = np.random.randint(0, 7, [256, 2])
    image = np.full([256, 8, 8, 1], -1.0, "float32")
    for picture, (row, column) in zip(image, places, strict=True):
        picture[row : row + 2], picture[:, column : column + 2] = 1.0, 1.0
    image = tf.constant(image)
    (step,) = model.graphs({"image": tf.TensorSpec(image.shape)}).values()
    losses = []
    for i in range(100):
        logs = step({"image": image})
        losses.append(sum(float(v) for v in logs.values()))
        model.step.assign(i + 1)
    assert losses[-1] < 0.8 * losses[0]
    true = importance_estimate(model, image).mean()
    for network in ("encoder", "decoder"):  # the bound of one p: without the batch's statistics
        still = getattr(model, network)
        setattr(model, network, lambda x, training=False, still=still: still(x, training=False))
    with random.scope(0):
        bound = np.mean([
            float(tf.add_n(list(model.autoencoder_loss(image).values()))) for _ in range(8)
        ])  # fmt: skip
    assert true < bound < true + 8.0


def test_encode_reconstruct_and_sample():
    model = small()
    image = black_and_white(30, 8, 8, 1)
    found = model.encode(image)
    mean, deviation = model.posterior(image)
    np.testing.assert_array_equal(found["z"], mean)
    np.testing.assert_array_equal(found["deviation"], deviation)
    assert deviation.shape == mean.shape == (30, 3) and deviation.numpy().min() > 0
    back = model.reconstruct(image)
    np.testing.assert_allclose(back, 2 * tf.sigmoid(model.decoder(mean)) - 1, atol=1e-6)
    with random.scope(0):
        picture = model.preview({"image": image.numpy()}).numpy()
        z = model.latents(4096).numpy()
    assert picture.shape == (64, 8, 8, 1)
    np.testing.assert_array_equal(picture[16:24], image[8:16])
    np.testing.assert_allclose(picture[24:32], back[8:16], atol=1e-5)
    assert z.std() == pytest.approx(1.0, abs=0.02) and np.abs(z).max() > 3


def count(network):
    return sum(int(np.prod(w.shape)) for w in network.trainable_variables)


def test_setting_of_the_study():
    model = VAE()
    encoder = (16 * 64 + 64) + (16 * 64 * 128 + 128 + 2 * 128)
    encoder += (7 * 7 * 128 * 1024 + 1024 + 2 * 1024) + (1024 * 128 + 128)
    assert count(model.encoder) == encoder
    decoder = (64 * 1024 + 1024 + 2 * 1024) + (1024 * 6272 + 6272 + 2 * 6272)
    decoder += (16 * 128 * 64 + 64 + 2 * 64) + (16 * 64 + 1)
    assert count(model.decoder) == decoder
    slopes = [
        layer.negative_slope
        for layer in model.encoder.layers
        if isinstance(layer, keras.layers.LeakyReLU)
    ]
    assert slopes == pytest.approx([0.2] * 3)
    (optimizer,) = model.default_optimizers().values()
    assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
    assert float(optimizer.learning_rate) == pytest.approx(5e-5)
    assert {w.path for w in model.weights_of("autoencoder")} == {
        w.path for network in (model.encoder, model.decoder) for w in network.trainable_variables
    }
