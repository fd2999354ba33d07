"""pix2pix: sizes and receptive fields of its networks, live dropout, its two terms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.dropout import Dropout
from tfgans.models.pix2pix import BatchNorm, Pix2Pix, build_patch_discriminator, build_unet

CONTRACT = {"games": [{}, {"conditional": False}]}


def small(**settings):
    model = Pix2Pix(image_shape=(16, 16, 3), width=4, patch_layers=1, **settings)
    model.compile()
    return model


def pictures(n=2, channels=3, seed=0):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, 16, 16, channels]), "float32")


def test_networks_of_the_paper():
    model = Pix2Pix()
    assert trainable(model.generator) == 54_413_955
    assert trainable(model.discriminator) == 2_768_705
    assert model.generator.output_shape == (None, 256, 256, 3)
    assert model.discriminator.output_shape == (None, 30, 30, 1)
    assert trainable(build_unet((128, 128, 3), 3)) == 41_828_995
    for w in model.generator.weights:
        values = w.numpy()
        if w.name == "kernel":
            assert values.std() == pytest.approx(0.02, rel=0.15) and abs(values.mean()) < 0.002
        elif w.name == "gamma":
            assert values.mean() == pytest.approx(1.0, abs=0.02) and 0.01 < values.std() < 0.03
        else:
            assert np.all(values == 0)


@pytest.mark.parametrize(
    "layers, side, field, image, parameters",
    [
        (0, 32, 1, 32, None),
        (1, 126, 16, 256, None),
        (2, 62, 34, 256, None),
        (3, 30, 70, 256, 2_764_737),
        (5, 8, 286, 320, None),
    ],
)
def test_patches_of_the_paper(layers, side, field, image, parameters):
    """A central score sees exactly the patch; by its gradient, with nothing normalized."""
    width = 64 if parameters else 2
    network = build_patch_discriminator(
        (image, image, 3), width, layers, norm=keras.layers.Identity, use_bias=True
    )
    assert network.output_shape == (None, side, side, 1)
    if parameters:
        assert trainable(network) == parameters
    x = tf.random.normal([1, image, image, 3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = network(x)[0, side // 2, side // 2, 0]
    seen = np.abs(tape.gradient(score, x).numpy()[0]).sum(axis=-1) > 0
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert len(rows) == len(columns) == field
    assert np.ptp(rows) == np.ptp(columns) == field - 1 and seen.sum() == field**2


@pytest.mark.parametrize("layers, parameters", [(1, 139_585), (5, 11_159_361)])
def test_parameters_of_smaller_and_larger_patches(layers, parameters):
    assert trainable(build_patch_discriminator((256, 256, 6), 64, layers)) == parameters


def test_dropout_is_live_in_use_and_only_in_the_three_innermost_steps_up():
    model = Pix2Pix(image_shape=(64, 64, 3), width=8)
    x = np.random.RandomState(0).uniform(-1, 1, [1, 64, 64, 3]).astype("float32")
    first, again, other = (model.translate(x, seed=seed).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 1e-3
    kinds = [type(layer) for layer in model.generator.layers]
    up = [i for i, kind in enumerate(kinds) if kind is keras.layers.Conv2DTranspose]
    dropout = [i for i, kind in enumerate(kinds) if kind is Dropout]
    assert len(up) == 6 and dropout == [i + 2 for i in up[:3]]  # after the normalization
    assert all(model.generator.layers[i].rate == 0.5 for i in dropout)


def test_skips_carry_the_encoder_across():
    """Without skips nothing but the innermost code reaches the output."""
    for skips in (True, False):
        model = small(skips=skips)
        innermost = [x for x in model.generator.layers if isinstance(x, keras.layers.Conv2D)][3]
        assert innermost.filters == 32 and innermost.output.shape == (None, 1, 1, 32)
        innermost.kernel.assign(0 * innermost.kernel)
        a, b = (model.translate(pictures(seed=seed), seed=0).numpy() for seed in (1, 2))
        assert np.array_equal(a, b) != skips
    convolutions = [x for x in small().generator.layers if isinstance(x, keras.layers.Conv2D)]
    assert not any(x.use_bias for x in convolutions if x.activation is keras.activations.linear)


def test_batch_norm():
    """Training uses statistics of the batch, use those of each image: equal for batches of one."""
    layer, x = BatchNorm(), 3.0 + 2.0 * tf.random.normal([4, 5, 6, 7])
    layer.build(x.shape)
    layer.gamma.assign(tf.ones(7))
    y = layer(x, training=True).numpy()
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axis=(0, 1, 2)), 1, atol=1e-4)
    paper = keras.layers.BatchNormalization(epsilon=1e-5)
    np.testing.assert_allclose(y, paper(x, training=True), atol=1e-5)
    used = layer(x).numpy()
    np.testing.assert_allclose(used.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(used[1:2], layer(x[1:2], training=True), atol=1e-5)
    assert np.abs(used - y).max() > 0.1
    layer.beta.assign(tf.fill([7], 5.0))
    np.testing.assert_allclose(layer(x).numpy(), used + 5.0, atol=1e-5)


def test_losses_of_an_undecided_discriminator():
    """Half of 2 log 2 for D; log 2 + 100 mean |y - g| for G, with g = 0."""
    model = small()
    model.discriminator = lambda image, training: tf.zeros([len(image), 7, 7, 1])
    model.generator = lambda image, training: tf.zeros_like(image)
    x, y = pictures(seed=1), pictures(seed=2)
    d, g = model.discriminator_loss(x, y), model.generator_loss(x, y)
    assert float(d["real"] + d["fake"]) == pytest.approx(0.693147, abs=1e-6)
    assert float(g["fake"]) == pytest.approx(0.693147, abs=1e-6)
    assert float(g["l1"]) == pytest.approx(100 * np.abs(y).mean(), rel=1e-5)
    model.l1_weight, model.adversarial_weight = 0.0, 0.5
    g = model.generator_loss(x, y)
    assert float(g["l1"]) == 0 and float(g["fake"]) == pytest.approx(0.346574, abs=1e-6)


@pytest.mark.parametrize("conditional", [True, False])
def test_the_discriminator_sees_the_input_beside_the_output(conditional):
    model, seen = small(conditional=conditional, input_channels=1), []
    discriminator = model.discriminator

    def recorded(image, training):
        seen.append(image.numpy())
        return discriminator(image, training=training)

    model.discriminator = recorded
    x, y = pictures(channels=1), pictures(seed=1)
    with random.scope(0):
        model.discriminator_loss(x, y)
        model.generator_loss(x, y)
    real, fake, again = seen
    assert real.shape[-1] == (4 if conditional else 3)
    np.testing.assert_array_equal(real[..., -3:], y)
    for image in (fake, again):
        assert np.abs(image[..., -3:] - y).max() > 0.1
        if conditional:
            np.testing.assert_array_equal(image[..., :1], x)


def test_optimizers_of_the_paper():
    for optimizer in small().optimizers.values():
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)


def test_preview_is_rows_of_input_output_target():
    model = small(input_channels=1)
    data = {"input": pictures(3, 1).numpy(), "target": pictures(3, seed=1).numpy()}
    with random.scope(0):
        table = model.preview(data)
    output = model.translate(data["input"], seed=0)
    assert table.shape == (3, 3, 16, 16, 3)
    np.testing.assert_array_equal(table[:, 0], np.repeat(data["input"], 3, axis=-1))
    np.testing.assert_array_equal(table[:, 1], output)
    np.testing.assert_array_equal(table[:, 2], data["target"])


def test_sizes_that_do_not_fit():
    with pytest.raises(BadInput, match="multiples of 16, not 250x250"):
        Pix2Pix(image_shape=(250, 250, 3))
    with pytest.raises(BadInput, match="halves 3 times needs images of at least 24.*patch_layers"):
        Pix2Pix(image_shape=(16, 16, 3))
    model = Pix2Pix(image_shape=(48, 32, 3), width=2, patch_layers=2)  # to 3x2 pixels
    assert model.translate(np.zeros([1, 48, 32, 3], "float32"), seed=0).shape == (1, 48, 32, 3)


def test_it_learns_to_invert():
    """Target = -input: the distance falls to less than half of that of a blank image."""
    model = Pix2Pix(image_shape=(16, 16, 1), input_channels=1, width=8, patch_layers=1)
    model.compile({"generator": {"learning_rate": 2e-3}})
    corners = np.random.RandomState(0).randint(0, 9, [64, 2])
    x = -np.ones([64, 16, 16, 1], "float32")
    for image, (top, left) in zip(x, corners, strict=True):
        image[top : top + 8, left : left + 8] = 1.0
    dataset = tf.data.Dataset.from_tensor_slices({"input": x, "target": -x})
    model.fit(dataset.repeat().batch(4, True), steps_per_epoch=150, shuffle=False, verbose=0)
    assert np.abs(model.translate(x, seed=0).numpy() + x).mean() < 0.5
