"""SRGAN: sizes of its networks, any size of image, its two stages, terms by hand, SRResNet kept."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import data
from tfgans.data.settings import Data
from tfgans.errors import BadInput
from tfgans.features import perceptual
from tfgans.models.srgan import SRGAN, bicubic, build_discriminator, build_generator

CONTRACT = {"served": ["generator", "srresnet"]}


def small(**settings):
    model = SRGAN(
        **{"image_shape": (32, 32, 3), "width": 4, "blocks": 1, "dense_width": 8} | settings
    )
    model.compile(run_eagerly=True)
    return model


def pictures(side=32, n=2, seed=0):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, side, side, 3]), "float32")


def test_networks_of_the_paper():
    with without_numbers():
        model = SRGAN()
    assert trainable(model.generator) == 1_547_350
    assert trainable(model.discriminator) == 23_563_649
    assert model.discriminator.output_shape == (None, 1)
    slopes = [x for x in model.generator.layers if isinstance(x, keras.layers.PReLU)]
    assert len(slopes) == 1 + 16 + 2 and all(x.alpha.shape == (1, 1, 1) for x in slopes)
    kernels = [x for x in model.discriminator.layers if isinstance(x, keras.layers.Conv2D)]
    found = [(x.filters, x.strides[0]) for x in kernels]
    assert found == [
        (64, 1),
        (64, 2),
        (128, 1),
        (128, 2),
        (256, 1),
        (256, 2),
        (512, 1),
        (512, 2),
    ]


def test_the_discriminator_halves_with_a_zero_on_both_sides():
    """A stride of 2 sees pixels -1, 0, 1 first; Keras' "same" would begin with 0, 1, 2."""
    network = build_discriminator((16, 16, 1), 2, 4)
    pads = [x for x in network.layers if isinstance(x, keras.layers.ZeroPadding2D)]
    assert len(pads) == 7 and all(x.padding == ((1, 1), (1, 1)) for x in pads)


@pytest.mark.parametrize("rows, columns", [(24, 24), (5, 12), (3, 2)])
def test_any_size_is_enlarged_four_times(rows, columns):
    model = small()
    made = model.enlarge(tf.zeros([2, rows, columns, 3]))
    assert made.shape == (2, 4 * rows, 4 * columns, 3)
    function, (spec,) = model.endpoints()["serving_default"]
    assert spec.shape.as_list() == [None, None, None, 3] and spec.name == "image"
    assert model.endpoints().keys() == {"serving_default", "enlarge", "srresnet"}


def test_the_network_begins_in_0_to_1_and_ends_without_a_bound():
    """In use, the answer is cut; in training it is not."""
    model, seen = small(), []
    model.generator = lambda x, training: seen.append((x, training)) or 5.0 * x
    x = tf.constant([[[[-1.0, 0.0, 1.0]]]])
    np.testing.assert_array_equal(model.enlarged(x)[0, 0, 0], [0.0, 2.5, 5.0])
    np.testing.assert_array_equal(model.enlarge(x)[0, 0, 0], [0.0, 1.0, 1.0])
    assert [training for _, training in seen] == [True, False]


def test_skips_of_the_generator():
    """With nothing but zeros in the trunk, the first layer passes through it and around it."""
    network = build_generator(3, 4, 2)
    trunk = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(trunk) == 5
    for layer in trunk:
        layer.gamma.assign(0 * layer.gamma)
    sums = [x.output for x in network.layers if isinstance(x, keras.layers.Add)]
    first = [x for x in network.layers if isinstance(x, keras.layers.PReLU)][0]
    found, *others = keras.Model(network.input, [first.output, *sums])(pictures(8))
    assert len(others) == 3
    for other in others:
        np.testing.assert_array_equal(other, found)


def test_losses_of_an_undecided_discriminator():
    """2 ln 2 for D; 1e-3 ln 2 + mean squared difference of features / 12.75^2 for G."""
    model, real, x = small(), pictures(32, seed=1), pictures(8)
    model.discriminator = lambda image, training: tf.zeros([len(image), 1])
    model.generator = lambda image, training: tf.zeros([len(image), 32, 32, 3])
    d = model.discriminator_loss(x, real)
    assert float(d["real"] + d["fake"]) == pytest.approx(2 * 0.693147, abs=1e-5)
    g = model.generator_loss(x, real)
    assert float(g["fake"]) == pytest.approx(6.931e-4, abs=1e-7)
    (a,), (b,) = model.look(tf.zeros_like(real)), model.look(real)
    assert float(g["content"]) == pytest.approx(np.mean((a - b) ** 2) / 12.75**2, rel=1e-5)
    pixels = float(model.pixel_loss(x, real)["pixels"])
    assert pixels == pytest.approx(np.mean(np.square(real)), rel=1e-5)
    plain = small(content="mse")
    plain.generator, plain.discriminator = model.generator, model.discriminator
    assert float(plain.generator_loss(x, real)["content"]) == pytest.approx(pixels, rel=1e-6)


@pytest.mark.parametrize("content, layer", [("vgg54", "block5_conv4"), ("vgg22", "block2_conv2")])
def test_content_is_that_of_activations(monkeypatch, content, layer):
    """VGG19's layer after its ReLU; before it stands ESRGAN's."""
    network, asked = perceptual.network, []
    monkeypatch.setattr(
        perceptual,
        "network",
        lambda *args, **named: asked.append((args, named)) or network(*args, **named),
    )
    model = small(content=content)
    [(args, named)] = asked
    given = inspect.signature(network).bind(*args, **named)
    given.apply_defaults()
    expected = {"path": "", "layers": [layer], "kind": "VGG19", "prepare": True, "side": None}
    assert given.arguments == expected | {"rectified": True}
    [found] = model.look(pictures())
    assert np.min(found) == 0 < np.max(found)


def test_signs_of_the_scores():
    """D wants real images high; G wants its own high, by the weight of the paper."""
    model, real, x = small(), pictures(32, seed=1), pictures(8)
    model.discriminator = lambda image, training: tf.fill([len(image), 1], 3.0)
    d, g = model.discriminator_loss(x, real), model.generator_loss(x, real)
    low, high = np.log1p(np.exp(-3.0)), np.log1p(np.exp(3.0))
    assert float(d["real"]) == pytest.approx(low, rel=1e-5)
    assert float(d["fake"]) == pytest.approx(high, rel=1e-5)
    assert float(g["fake"]) == pytest.approx(1e-3 * low, rel=1e-5)


def test_optimizers_of_the_paper():
    """1e-4 for 1.1 million steps of G and 100,000 of D, then 1e-5."""
    model = small()
    for player, change in (("generator", 1_100_000), ("discriminator", 100_000)):
        adam = model.default_optimizers()[player]
        assert (adam.beta_1, adam.beta_2) == (0.9, 0.999)
        rate = keras.saving.deserialize_keras_object(adam.get_config()["learning_rate"])
        assert float(rate(change - 1)) == pytest.approx(1e-4)  # updates are counted from 0
        assert float(rate(change)) == pytest.approx(1e-5)


def test_srresnet_is_the_generator_at_the_end_of_stage_0():
    model = small(pretrain_steps=2, content="vgg22")
    batch = {"input": pictures(8), "target": pictures(32, seed=1)}
    before = model.discriminator.get_weights()
    for _ in range(2):
        assert list(model.train_on_batch(batch)) == ["generator/pixels"]
    model.settle()
    for a, b in zip(before, model.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    end = model.generator.get_weights()
    assert {"discriminator/real", "generator/content"} < model.train_on_batch(batch).keys()
    model.settle()
    for a, b, now in zip(
        model.srresnet.get_weights(), end, model.generator.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(b, now) or b.size < 2
    assert not np.array_equal(model.enlarge(batch["input"]), model.enlarge_smoothly(batch["input"]))


def test_statistics_of_the_batch_are_off_in_use():
    model, x = small(), pictures(8, n=4)
    np.testing.assert_allclose(model.enlarge(x)[:1], model.enlarge(x[:1]), atol=1e-6)
    apart = model.enlarged(x)[:1] - model.enlarged(x[:1])
    assert np.abs(apart).max() > 1e-4


def test_the_preview_is_bicubic_srresnet_srgan_and_target():
    model, x, real = small(), pictures(8, n=3), pictures(32, n=3)
    table = model.preview({"input": x.numpy(), "target": real.numpy()})
    assert table.shape == (3, 4, 32, 32, 3)
    for column, expected in enumerate(
        (bicubic(x), model.enlarge_smoothly(x), model.enlarge(x), real)
    ):
        np.testing.assert_array_equal(table[:, column], expected)


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="multiples of 16, not 40x40"):
        SRGAN(image_shape=(40, 40, 3))
    with pytest.raises(BadInput, match="No content of SRGAN named 'vgg45'. Did you mean 'vgg54'"):
        SRGAN(content="vgg45")


@pytest.mark.slow
def test_srresnet_beats_bicubic():
    """300 steps on scenes: PSNR is more than 0.5 dB above that of a bicubic enlargement."""
    keras.utils.set_random_seed(0)
    model = SRGAN((32, 32, 3), 32, 4, 8, pretrain_steps=10**6)
    model.compile({"generator": {"learning_rate": 2e-3}})
    chosen = Data("synthetic", batch_size=16)
    source = data.resolve(_Config(chosen), SRGAN)
    dataset = data.batches(model, source, chosen, seed=0)
    model.fit(dataset, steps_per_epoch=300, shuffle=False, verbose=0)
    batch = next(iter(data.batches(model, source, Data("synthetic", batch_size=64), seed=1)))
    ours, plain = (
        np.mean(tf.image.psnr(made, batch["target"], 2.0))
        for made in (model.enlarge(batch["input"]), bicubic(batch["input"]))
    )
    assert ours > plain + 0.5


class _Config:
    def __init__(self, chosen):
        self.data, self.model = chosen, {"image_shape": [32, 32, 3]}
