"""GANILLA: its generator's sizes, concatenations and pyramid, and the terms of its game."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans.errors import BadInput
from tfgans.models.ganilla import GANILLA, build_generator

CONTRACT = {
    # Ahead of training, the way back normalizes images of almost one gray, which blows up rounding.
    "like_one_device": {"cycle_weight": 0.0},
    "rate": 1e-4,
    "atol": {"images": 1e-5},  # of the pools: fakes, made by the weights
    "served": ["generator_ab", "generator_ba"],
}


def pictures(seed=0, side=32):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [2, side, side, 3]), "float32")


def only(network, kind):
    return [layer for layer in network.layers if type(layer) is kind]


def test_networks_of_the_paper():
    with without_numbers():
        model = GANILLA(pool_size=0)
    assert trainable(model.generator_ab) == trainable(model.generator_ba) == 7_228_419
    assert model.generator_ab.output_shape == (None, 256, 256, 3)
    assert trainable(model.discriminator_a) == 2_764_737
    with pytest.raises(BadInput, match="multiples of 16"):
        GANILLA(image_shape=(40, 64, 3), pool_size=0)


def test_eight_blocks_join_input_and_result():
    """Each fusing convolution has twice as many inputs as outputs; sides 128, 64, 32, 16."""
    with without_numbers():
        network = build_generator((256, 256, 3), 3)
    joins = only(network, keras.layers.Concatenate)
    sides, widths = zip(*((x.output.shape[1], x.output.shape[3]) for x in joins), strict=True)
    assert sides == (128, 128, 64, 64, 32, 32, 16, 16)
    assert widths == (128, 128, 256, 256, 256, 256, 512, 512)
    fusing = [x for x in only(network, keras.layers.Conv2D) if x.input.shape[3] in (128, 256, 512)]
    halving = [x for x in fusing if x.input.shape[3] == 2 * x.filters and x.kernel_size == (3, 3)]
    assert len(halving) == 8 + 1  # and the convolution behind the pyramid, 128 to 64
    assert not only(network, keras.layers.Conv2DTranspose)


def lateral(network):
    """The four convolutions of 1x1 with a bias: those of the pyramid, the finest level first."""
    found = [
        x for x in only(network, keras.layers.Conv2D) if x.kernel_size == (1, 1) and x.use_bias
    ]
    assert len(found) == 4
    return found[::-1]  # Keras lists layers by their distance from the output


def reached(network, image):
    """The largest gradient of the output in each convolution of the blocks, in their order."""
    kernels = [x.kernel.value for x in only(network, keras.layers.Conv2D) if not x.use_bias]
    with tf.GradientTape() as tape:
        tape.watch(kernels)
        loss = tf.reduce_sum(network(image, training=True) ** 2)
    return [float(tf.reduce_max(tf.abs(g))) for g in tape.gradient(loss, kernels)]


def test_the_finest_level_alone_carries_an_image():
    """Without the three coarser levels the output still follows the input, past layers 2 to 4."""
    network = build_generator((32, 32, 3), 3, width=4)
    levels = lateral(network)
    for layer in levels[1:]:
        layer.kernel.assign(tf.zeros_like(layer.kernel))
    # Layer 1 has two blocks of three convolutions, without a shortcut of its own.
    found = reached(network, pictures())
    assert all(g > 0 for g in found[:6]) and all(g == 0 for g in found[6:])
    assert len(found) == 3 * 8 + 3


def test_the_coarsest_level_sees_all_layers():
    network = build_generator((32, 32, 3), 3, width=4)
    for layer in lateral(network)[:3]:
        layer.kernel.assign(tf.zeros_like(layer.kernel))
    assert all(g > 0 for g in reached(network, pictures()))


def test_levels_are_enlarged_pixel_by_pixel_and_added():
    """A constant at the coarsest level reaches all pixels alike: nearest, and a sum."""
    network = build_generator((32, 32, 3), 3, width=4)
    head = keras.Model(network.input, only(network, keras.layers.Add)[-1].output)
    levels = lateral(network)
    image = pictures()
    before = head(image)
    levels[3].bias.assign(tf.ones_like(levels[3].bias))
    np.testing.assert_allclose(head(image) - before, tf.ones_like(before), atol=1e-5)
    # One level up, each pixel has become a square of four equal ones.
    for layer in levels[:3]:
        layer.kernel.assign(tf.zeros_like(layer.kernel))
    x = head(image).numpy()
    np.testing.assert_array_equal(x, x[:, ::8, ::8].repeat(8, axis=1).repeat(8, axis=2))


def replaced(a_to_b, b_to_a, **settings):
    """A model with known generators, and discriminators that say 0.25."""
    model = GANILLA(image_shape=(32, 32, 3), width=2, patch_layers=1, pool_size=0, **settings)
    model.generator_ab = lambda image, training: a_to_b(image)
    model.generator_ba = lambda image, training: b_to_a(image)
    for name in ("discriminator_a", "discriminator_b"):
        setattr(model, name, lambda image, training: tf.fill([len(image), 4, 4, 1], 0.25))
    return model


def test_terms_of_known_generators():
    """The game of CycleGAN: squares, ten times the way back, five times the identity."""
    a, b = pictures(1), pictures(2)
    size = float(tf.reduce_mean(tf.abs(a)))
    terms, fakes = replaced(tf.zeros_like, lambda x: x).generators_loss(a, b)
    assert float(terms["fake"]) == pytest.approx(2 * 0.75**2)
    assert float(terms["cycle"]) == pytest.approx(10 * 2 * size, rel=0.05)
    assert float(terms["identity"]) == pytest.approx(5 * size, rel=0.05)
    np.testing.assert_array_equal(fakes[0], b)  # of the domain a, made of b
    terms, _ = replaced(lambda x: -x, lambda x: -x, identity_weight=0.0).generators_loss(a, b)
    assert float(terms["cycle"]) == 0.0 and "identity" not in terms
    terms, _ = replaced(lambda x: -x, lambda x: -x).generators_loss(a, b)
    sizes = float(tf.reduce_mean(tf.abs(a)) + tf.reduce_mean(tf.abs(b)))
    assert float(terms["identity"]) == pytest.approx(5 * 2 * sizes, rel=1e-5)
    d = replaced(lambda x: x, lambda x: x).discriminators_loss(a, b, a, b)
    assert float(d["a"]) == float(d["b"]) == pytest.approx(0.5 * (0.75**2 + 0.25**2))
