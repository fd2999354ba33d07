"""DCGAN: the structure of its networks, their start, the losses, the game."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.dcgan import DCGAN, build_discriminator, build_generator


def small(**settings):
    return DCGAN(image_shape=(8, 8, 1), latent_dim=4, width=4, **settings)


@pytest.fixture(scope="module")
def paper():
    return DCGAN()


def kinds(network):
    return [type(layer).__name__ for layer in network.layers[1:]]


def test_structure_of_the_paper(paper):
    """No pooling, dense layers only at z and at the score, no normalization next to an image."""
    up = ["Conv2DTranspose", "BatchNormalization", "ReLU"]
    start = ["Dense", "BatchNormalization", "Reshape", "ReLU"]
    assert kinds(paper.generator) == start + 3 * up + ["Conv2DTranspose"]
    down = ["Conv2D", "BatchNormalization", "LeakyReLU"]
    assert kinds(paper.discriminator) == ["Conv2D", "LeakyReLU"] + 3 * down + ["Flatten", "Dense"]
    for network in (paper.generator, paper.discriminator):
        for layer in network.layers:
            if isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)):
                assert layer.strides == (2, 2) and layer.kernel_size == (5, 5)
            if isinstance(layer, keras.layers.LeakyReLU):
                assert layer.negative_slope == pytest.approx(0.2)
            if isinstance(layer, keras.layers.BatchNormalization):
                assert (layer.momentum, layer.epsilon) == (0.9, 1e-8)
    shapes = [layer.output.shape[1:] for layer in paper.generator.layers if "re_lu" in layer.name]
    assert shapes == [(4, 4, 1024), (8, 8, 512), (16, 16, 256), (32, 32, 128)]


def test_parameters_of_the_authors_code(paper):
    """By hand: the first normalization of G has gains for each of the 16384 features."""
    kernels = 25 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    generator = 100 * 16384 + 2 * 16384 + kernels + 2 * (512 + 256 + 128)
    assert trainable(paper.generator) == generator == 18_885_760
    kernels = 25 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    discriminator = kernels + 2 * (256 + 512 + 1024) + 16384
    assert trainable(paper.discriminator) == discriminator


def test_parameters_of_the_torch_code():
    """The numbers that PyTorch's example prints for nz=100, ngf=ndf=64."""
    assert trainable(build_generator((64, 64, 3), 100, 64, kernel_size=4)) == 3_576_704
    assert trainable(build_discriminator((64, 64, 3), 64, kernel_size=4)) == 2_765_568


def test_start_of_the_weights(paper):
    means, gains = [], []
    for network in (paper.generator, paper.discriminator):
        for w in network.trainable_variables:
            values = w.numpy()
            if w.name == "kernel" and values.size > 5000:
                assert values.std() == pytest.approx(0.02, abs=0.001), w.path
                means.append(abs(values.mean()))
            elif w.name == "gamma":
                gains.append(values)
            elif w.name == "beta":
                assert not values.any()
    assert np.mean(means) < 1e-3
    gains = np.concatenate(gains)
    assert gains.mean() == pytest.approx(1.0, abs=1e-3)
    assert gains.std() == pytest.approx(0.02, abs=1e-3)


def test_padding_is_that_of_the_authors_mirrored():
    """Their stride-2 kernels see pixels 2i - 2 to 2i + 2; ours see 2i - 1 to 2i + 3."""
    image, kernel = tf.random.normal([1, 8, 8, 1]), tf.random.normal([5, 5, 1, 1])
    theirs = tf.nn.conv2d(image, kernel, 2, [[0, 0], [2, 2], [2, 2], [0, 0]])
    ours = tf.nn.conv2d(image[:, ::-1, ::-1], kernel[::-1, ::-1], 2, "SAME")
    np.testing.assert_allclose(theirs, ours[:, ::-1, ::-1], atol=1e-5)


@pytest.mark.parametrize("shape, grid", [((28, 28, 1), 7), ((48, 48, 3), 6), ((128, 128, 3), 4)])
def test_other_sizes(shape, grid):
    """One more stage for each factor of two, the widest layer doubles; 28x28 as for MNIST."""
    generator, discriminator = build_generator(shape, 5, 2), build_discriminator(shape, 2)
    assert generator.output.shape[1:] == shape and discriminator.output.shape[1:] == (1,)
    widest = 2 * shape[0] // grid // 2
    assert generator.get_layer(index=3).output.shape[1:] == (grid, grid, widest)
    flat = next(x for x in discriminator.layers if isinstance(x, keras.layers.Flatten))
    assert flat.output.shape[1] == grid * grid * widest


def test_rectangles_and_sizes_that_do_not_halve():
    assert build_generator((16, 24, 1), 5, 2).output.shape[1:] == (16, 24, 1)
    with pytest.raises(BadInput, match=r"multiples of 16, not 100x100.*\[96, 96, 3\]"):
        DCGAN(image_shape=(100, 100, 3))
    with pytest.raises(BadInput, match="at least 8 pixels, not 4x4"):
        DCGAN(image_shape=(4, 4, 1))


def test_losses_at_the_start():
    """An undecided D gives 2 log 2 in all, and log 2 to G."""
    model = small()
    model.discriminator.layers[-1].kernel.assign(tf.zeros([4 * 4 * 4, 1]))
    with random.scope(0):
        d = model.discriminator_loss(tf.zeros([8, 8, 8, 1]))
        g = model.generator_loss(8)
    assert float(d["real"] + d["fake"]) == pytest.approx(1.386294, abs=1e-6)
    assert float(g["fake"]) == pytest.approx(0.693147, abs=1e-6)


def test_gradient_of_a_rejected_fake():
    """At a score of -4 the non-saturating loss pulls with -0.98201, the minimax one hardly."""
    model = small()
    score = tf.Variable(tf.fill([8, 1], -4.0))
    model.decay = lambda player, weight: {"decay": 0.0}
    model.discriminator = lambda image, training: score.value()
    with tf.GradientTape() as tape, random.scope(0):
        loss = model.generator_loss(8)["fake"]
    np.testing.assert_allclose(tape.gradient(loss, score) * 8, -0.98201, atol=1e-4)


def test_weight_decay_adds_a_part_of_each_weight_to_its_gradient():
    model = small(decay_weight=0.25)
    losses = {
        "discriminator": lambda: model.discriminator_loss(tf.zeros([2, 8, 8, 1])),
        "generator": lambda: model.generator_loss(n=2),
    }
    for player, terms in losses.items():
        values = [w.value for w in model.weights_of(player)]
        with tf.GradientTape() as tape, random.scope(0):
            tape.watch(values)
            loss = terms()["decay"]
        for value, gradient in zip(values, tape.gradient(loss, values), strict=True):
            np.testing.assert_allclose(gradient, 0.25 * value, atol=1e-6)


def test_contrast_is_seen_only_through_biases():
    """LeakyReLU and layers without biases keep a factor, which the first normalization removes."""
    images = tf.random.normal([4, 16, 16, 1])
    for use_bias in (False, True):
        discriminator = build_discriminator((16, 16, 1), 4, use_bias=use_bias)
        for w in discriminator.trainable_variables:
            if w.name == "bias":
                w.assign(tf.ones(w.shape))
        scores = [discriminator(c * images, training=True).numpy() for c in (1.0, 0.5)]
        assert np.allclose(*scores, atol=1e-4) == (not use_bias)


def test_real_and_fake_batches_are_normalized_apart():
    """Scores of the real images do not depend on the fakes."""
    model = DCGAN(image_shape=(16, 16, 1), latent_dim=4, width=4)
    real = tf.random.normal([8, 16, 16, 1])
    losses = []
    for gray in (-1.0, 1.0):
        model.generator = keras.Sequential([keras.Input([4]), keras.layers.Dense(256)])
        model.generator.add(keras.layers.Reshape([16, 16, 1]))
        model.generator.layers[0].set_weights([np.zeros([4, 256]), np.full([256], gray)])
        with random.scope(0):
            losses.append(model.discriminator_loss(real))
    assert float(losses[0]["real"]) == float(losses[1]["real"])
    assert float(losses[0]["fake"]) != float(losses[1]["fake"])


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
        assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.5, 0.999, 1e-8)
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)
