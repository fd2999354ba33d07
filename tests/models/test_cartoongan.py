"""CartoonGAN: blurred cartoons as fakes, three thirds, content before the ReLU, D's 37 pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans.errors import BadInput
from tfgans.models.cartoongan import CartoonGAN, build_discriminator, build_generator


def darkened(model):
    """Blurred cartoons are fakes, and the white batch of planted scores must not hide that."""
    loss = type(model).discriminator_loss
    model.discriminator_loss = lambda real, smoothed, fake: loss(model, real, -smoothed, fake)


CONTRACT = {
    "games": [{}, {"least_squares": False}],
    "prepare": darkened,
    "rate": 1e-4,
    "atol": {"images": 1e-5},  # of the pool: fakes, made by the weights
}


def small(**settings):
    sizes = {"image_shape": (16, 16, 3), "width": 4, "discriminator_width": 4, "blocks": 1}
    model = CartoonGAN(**sizes | {"pretrain_steps": 2, "pool_size": 3} | settings)
    model.compile(run_eagerly=True)
    return model


def pictures(seed=0, n=2, side=16):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, side, side, 3]), "float32")


def test_networks_of_the_paper():
    """Counts by hand: kernels without biases, two numbers for each normalized channel."""
    with without_numbers():
        model = CartoonGAN(pool_size=0)
    up = 9 * (256 * 128 + 128 * 128 + 128 * 64 + 64 * 64)
    kernels = 49 * 2 * 3 * 64 + up + 9 * (64 * 128 + 128 * 128 + 128 * 256 + 256 * 256)
    kernels += 8 * 2 * 9 * 256 * 256
    norms = 2 * (64 + 128 + 256 + 8 * 2 * 256 + 128 + 64)
    assert trainable(model.generator) == kernels + norms == 11_124_352
    kernels = 9 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256)
    assert trainable(model.discriminator) == kernels + 2 * (128 + 256 + 256) == 1_128_800
    assert model.discriminator.output_shape == (None, 64, 64, 1)
    with pytest.raises(BadInput, match="multiples of 4"):
        CartoonGAN(image_shape=(30, 32, 3))
    with pytest.raises(BadInput, match="at least 8 pixels, not 4x8"):  # one pixel reflects nothing
        CartoonGAN(image_shape=(4, 8, 3))
    with pytest.raises(BadInput, match="gray or RGB images, not 4 channels"):
        CartoonGAN(image_shape=(32, 32, 4))


def test_one_score_sees_37_pixels():
    """The pixels that a gradient of one score reaches, without the norms, which see all."""
    network = build_discriminator((64, 64, 1), 2)
    x = keras.Input((64, 64, 1))
    y = x
    for layer in network.layers[1:]:
        if not isinstance(layer, keras.layers.GroupNormalization):
            y = layer(y)
    plain = keras.Model(x, y)
    for layer in plain.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([np.ones_like(w) for w in layer.get_weights()])
    image = tf.ones([1, 64, 64, 1])
    with tf.GradientTape() as tape:
        tape.watch(image)
        scores = plain(image)
        score = scores[0, 8, 8, 0]
    rows = np.flatnonzero(np.abs(tape.gradient(score, image)[0, :, :, 0]).max(axis=1))
    assert scores.shape == (1, 16, 16, 1)
    assert rows[-1] - rows[0] + 1 == len(rows) == 37


def constant(model, *scores):
    """A discriminator that says the given scores, one after the other."""
    answers = iter(scores)
    model.discriminator = lambda image, training: tf.fill([len(image), 4, 4, 1], next(answers))
    return model


@pytest.mark.parametrize("d", [0.0, 1 / 3, 0.5, 1.0])
def test_a_third_each(d):
    """D that says d: ((d - 1)^2 + 2 d^2) / 3, least at 1/3, where it is 2/9."""
    terms = constant(small(), d, d, d).discriminator_loss(*[pictures()] * 3)
    total = float(sum(terms.values()))
    assert total == pytest.approx(((d - 1) ** 2 + 2 * d**2) / 3, abs=1e-6)
    assert total >= 2 / 9 - 1e-6


def test_logarithms_of_the_paper():
    model = constant(small(least_squares=False), 0.0, 0.0, 0.0, 3.0, 2.0, 1.0, 2.0)
    real = pictures()
    total = sum(model.discriminator_loss(real, real, real).values())
    assert float(total) == pytest.approx(3 * np.log(2), abs=1e-6)
    terms = model.discriminator_loss(real, real, real)
    wanted = [np.log1p(np.exp(x)) for x in (-3.0, 2.0, 1.0)]
    np.testing.assert_allclose([terms[key] for key in ("real", "smoothed", "fake")], wanted, 1e-5)
    assert float(model.generator_loss(real)["fake"]) == pytest.approx(np.log1p(np.exp(-2.0)), 1e-5)


def test_each_image_goes_to_its_own_term():
    """Cartoons, blurred cartoons and past fakes are told apart; photographs D never sees."""
    model, seen = small(pretrain_steps=0), []
    judge = model.discriminator

    def recorded(image, training):
        seen.append(np.asarray(image))
        return judge(image, training=training)

    model.discriminator = recorded
    model.players = lambda: {"discriminator": [judge], "generator": [model.generator]}
    batch = {"a": pictures(0), "b": pictures(1), "b_smoothed": pictures(2)}
    fake = model.generator(batch["a"], training=True).numpy()
    model.train_on_batch(batch)
    for image, wanted in zip(seen, (batch["b"], batch["b_smoothed"], fake, fake), strict=True):
        np.testing.assert_allclose(image, wanted, atol=1e-6)
    np.testing.assert_allclose(model.pool.images[:2], fake, atol=1e-6)


def test_content_is_that_of_the_photograph_before_the_relu():
    """Ten times the mean distance in the layer; its activations are negative, too."""
    model, photo = small(), pictures(side=16)
    model.generator = lambda image, training: -image
    (a,), (b,) = model.look(-photo), model.look(photo)
    assert np.min(a) < -0.1 and np.max(a) > 0.01
    for terms in (model.content_loss(photo), constant(model, 1.0).generator_loss(photo)):
        assert float(terms["content"]) == pytest.approx(10 * np.mean(np.abs(a - b)), rel=1e-5)
    model.generator = lambda image, training: image
    assert float(model.content_loss(photo)["content"]) == 0.0


def test_the_discriminator_waits_until_the_content_is_learned():
    model = small()
    batch = {"a": pictures(0), "b": pictures(1), "b_smoothed": pictures(2)}
    before, start = model.discriminator.get_weights(), model.generator.get_weights()
    for _ in range(2):
        assert [*model.train_on_batch(batch)] == ["generator/content"]
    assert int(model.pool.count) == 0
    for a, b in zip(before, model.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    moved = [not np.array_equal(*w) for w in zip(start, model.generator.get_weights(), strict=True)]
    assert np.mean(moved) > 0.9
    logs = model.train_on_batch(batch)
    assert {"discriminator/smoothed", "generator/fake", "generator/content"} < logs.keys()
    assert not np.array_equal(before[0], model.discriminator.get_weights()[0])


def test_two_rates():
    """Alone 2e-4, falling to 0 in the second half; then 1e-5 as if from its own beginning."""
    model = CartoonGAN((16, 16, 3), 2, 2, 1, pretrain_steps=20, hold_steps=10, decay_steps=10)
    adam = model.default_optimizers()["generator"]
    assert (adam.beta_1, adam.beta_2) == (0.5, 0.999)
    again = type(adam).from_config(adam.get_config())  # as it is saved
    for optimizer in (adam, again):
        rate = keras.saving.deserialize_keras_object(optimizer.get_config()["learning_rate"])
        found = [float(rate(tf.constant(step))) for step in (0, 10, 15, 19, 20, 30, 35, 40)]
        wanted = [2e-4, 2e-4, 1e-4, 2e-5, 1e-5, 1e-5, 5e-6, 0.0]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("rows, columns", [(16, 16), (9, 14), (8, 23)])
def test_photographs_of_any_size(rows, columns):
    """Beyond a multiple of 4, the image goes on in its mirror, and is cut again."""
    model = small()
    image = tf.constant(np.random.RandomState(0).uniform(-1, 1, [2, rows, columns, 3]), "float32")
    found = model.cartoon(image)
    assert found.shape == image.shape
    padded = np.pad(image, [(0, 0), (0, -rows % 4), (0, -columns % 4), (0, 0)], "reflect")
    expected = model.generator(padded, training=False)[:, :rows, :columns]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert {*model.endpoints()} == {"serving_default", "translate"}


def test_convolutions_stand_between_the_halvings():
    """A halving or doubling is followed by a convolution of the same width, then by the norm."""
    network = build_generator(3, 4, 2)
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.GroupNormalization)
    found = [x for x in network.layers if isinstance(x, kinds)]
    form = [
        "n" if isinstance(x, keras.layers.GroupNormalization) else (x.filters, x.strides[0])
        for x in found
    ]
    trunk = [(16, 1), "n"] * 4
    assert form == [
        *[(4, 1), "n", (8, 2), (8, 1), "n", (16, 2), (16, 1), "n"],
        *trunk,
        *[(8, 2), (8, 1), "n", (4, 2), (4, 1), "n", (3, 1)],
    ]
    for layer in found:
        if isinstance(layer, keras.layers.GroupNormalization):
            gamma = layer.gamma.numpy()
            assert 0 <= gamma.min() and gamma.max() <= 1 and layer.epsilon == 1e-5
        else:
            assert not layer.use_bias
