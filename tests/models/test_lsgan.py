"""LSGAN: its losses at the optimum of a free D, their gradients, the networks for LSUN."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.models.lsgan import LSGAN, build_generator

REFERENCE = pathlib.Path(__file__).parent.parent / "reference" / "tfgan_tfa.npz"


def small(**settings):
    return LSGAN(image_shape=(8, 8, 1), latent_dim=4, width=4, **settings)


def losses(real_score, fake_score, **targets):
    """D's and G's loss for given scores, and their gradients by the scores."""
    model = small(**targets)
    scores = tf.constant(real_score, "float32"), tf.constant(fake_score, "float32")
    model.generator = lambda z, training: "fake"
    model.discriminator = lambda x, training: scores[1] if isinstance(x, str) else scores[0]
    with tf.GradientTape(persistent=True) as tape, random.scope(0):
        tape.watch(scores)
        d = tf.add_n(list(model.discriminator_loss(tf.zeros([8, 8, 8, 1])).values()))
        g = model.generator_loss(8)["fake"]
    return d, g, tape.gradient(d, scores), tape.gradient(g, scores[1])


@pytest.fixture(scope="module")
def gaussians():
    """Bins of the line, and samples of p = N(0, 1) and q = N(1, 1): how many fall in which bin."""
    x = np.linspace(-6.0, 7.0, 1301)
    p, q = (np.exp(-((x - mean) ** 2) / 2) / np.sqrt(2 * np.pi) for mean in (0.0, 1.0))
    bins = np.arange(len(x))
    real, fake = (np.repeat(bins, np.round(2000 * density).astype(int)) for density in (p, q))
    return p, q, real, fake


@pytest.mark.parametrize("targets, d_loss", [((0.0, 1.0, 1.0), 0.1990), ((-1.0, 1.0, 0.0), 0.7959)])
def test_optimal_free_discriminator(gaussians, targets, d_loss):
    """D* = (b p + a q) / (p + q): there D's loss, a convex function of D, has no slope."""
    p, q, real, fake = gaussians
    a, b, c = targets
    table = tf.Variable((b * p + a * q) / (p + q), dtype="float32")
    model = small(fake_target=a, real_target=b, wanted=c)
    model.generator = lambda z, training: fake
    model.discriminator = lambda bins, training: tf.gather(table, bins)
    with tf.GradientTape() as tape, random.scope(0):
        # `real` stands for the images: bins, not pixels.
        d = tf.add_n(list(model.discriminator_loss(real).values()))
        g = model.generator_loss(8)["fake"]
    slope = tf.convert_to_tensor(tape.gradient(d, table)).numpy()
    assert np.abs(slope).max() < 1e-5
    assert float(d) == pytest.approx(d_loss, abs=0.002)
    if c == 1.0:
        assert float(g) == pytest.approx(0.2015, abs=0.002)
        return
    # Eq. 7 and 8: with the term of the real images, which G cannot change, Pearson's chi-square.
    model.generator = lambda z, training: real
    with random.scope(0):
        whole = 2 * float(g + model.generator_loss(8)["fake"])
    chi_square = np.sum((2 * q - (p + q)) ** 2 / (p + q)) * 0.01
    assert chi_square == pytest.approx(0.4081, abs=1e-4)
    assert whole == pytest.approx(chi_square, abs=0.002)


def test_too_good_a_score_is_pulled_back():
    """At a score of 3 the loss has slope 2 towards 1; a cross entropy would still push up."""
    *_, (real, _), fake = losses(np.full([8, 1], 3.0), np.full([8, 1], 3.0))
    np.testing.assert_allclose(real * 8, 2.0, atol=1e-6)
    np.testing.assert_allclose(fake * 8, 2.0, atol=1e-6)


def test_losses_at_the_start():
    d, g, *_ = losses(np.zeros([8, 1]), np.zeros([8, 1]))
    assert float(d) == 0.5 and float(g) == 0.5


@pytest.mark.parametrize(
    "d_name, g_name, targets",
    [
        ("", "", {}),
        ("_labels_0.9_-1", "_label_0", {"real_target": 0.9, "fake_target": -1.0, "wanted": 0.0}),
    ],
)
def test_numbers_of_tensorflow_gan(d_name, g_name, targets):
    ref = np.load(REFERENCE)
    d, g, (by_real, by_fake), g_by_fake = losses(ref["losses/real"], ref["losses/fake"], **targets)
    d_name = f"losses/least_squares_discriminator_loss{d_name}"
    g_name = f"losses/least_squares_generator_loss{g_name}"
    for ours, theirs in (
        (d, f"{d_name}/value"), (by_real, f"{d_name}/grad_real"), (by_fake, f"{d_name}/grad_fake"),
        (g, f"{g_name}/value"), (g_by_fake, f"{g_name}/grad_fake"),
    ):  # fmt: skip
        np.testing.assert_allclose(ours, ref[theirs], rtol=1e-5, atol=1e-6)


def test_networks_of_the_paper():
    """112x112 from 7x7, two convolutions at 14 and 28; the score is D's plain output."""
    model = LSGAN()
    layers = [x for x in model.generator.layers if "transpose" in x.name]
    found = [(x.output.shape[1], x.filters, x.strides[0]) for x in layers]
    assert found == [
        (14, 256, 2), (14, 256, 1), (28, 256, 2), (28, 256, 1), (56, 128, 2), (112, 64, 2),
        (112, 3, 1),
    ]  # fmt: skip
    assert all(x.kernel_size == (3, 3) for x in layers)
    trainable = [
        sum(int(np.prod(w.shape)) for w in network.trainable_variables)
        for network in (model.generator, model.discriminator)
    ]
    kernels = 9 * (4 * 256 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + 3
    norms = 2 * (5 * 256 + 128 + 64)
    assert trainable[0] == 1024 * 49 * 256 + kernels + norms == 15_577_667
    kernels = 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    assert trainable[1] == kernels + 2 * (128 + 256 + 512) + 49 * 512 + 64 + 1 == 4_332_545
    norms = [
        layer
        for network in (model.generator, model.discriminator)
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 7 + 3
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.9, 1e-5)}
    assert model.discriminator.layers[-1].activation.__name__ == "linear"
    images = model.generator(np.zeros([1, 1024], "float32"))
    assert images.shape == (1, 112, 112, 3)


@pytest.mark.parametrize(
    "shape, convolutions", [((8, 8, 1), 2), ((32, 32, 3), 5), ((64, 64, 3), 7)]
)
def test_other_sizes(shape, convolutions):
    generator = build_generator(shape, 4, 2)
    assert generator.output.shape[1:] == shape
    assert sum("transpose" in layer.name for layer in generator.layers) == convolutions


def test_latents_are_uniform_and_the_players_take_turns():
    model = small()
    with random.scope(0):
        z = model.latents(4096).numpy()
    assert -1 <= z.min() < -0.99 and 0.99 < z.max() <= 1
    assert z.std() == pytest.approx(3**-0.5, abs=0.01)
    moves = []
    model.update = lambda player, loss, *args, n=None: moves.append(player) or {}
    model.train_step({"image": tf.zeros([8, 8, 8, 1])})
    assert moves == ["discriminator", "generator"]
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, float(optimizer.learning_rate)) == (0.5, pytest.approx(1e-3))
