"""Context encoder: its loss on a known error, the hole and its rim, two rates, both regions."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import data
from tfgans.data.degraded import MEAN_COLOR, blobs, middle, without
from tfgans.data.settings import Data
from tfgans.data.source import Images
from tfgans.errors import BadInput
from tfgans.models.context_encoder import ContextEncoder, build_discriminator, build_generator

CONTRACT = {"games": [{}, {"region": "random"}]}


def small(**settings):
    given = {"image_shape": (16, 16, 3), "width": 4, "code_width": 8, "overlap": 1}
    model = ContextEncoder(**given | settings)
    model.compile()
    return model


def pictures(side=16, n=2, seed=0):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, side, side, 3]), "float32")


def kernels(network):
    """Channels and strides of all convolutions, in their order."""
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    found = [x for x in network.layers if isinstance(x, kinds)]
    assert not any(x.use_bias for x in found)
    return [(x.filters, x.strides[0]) for x in found]


@pytest.mark.parametrize("region, side, more", [("center", 64, []), ("random", 128, [(64, 2)])])
def test_networks_of_the_paper(region, side, more):
    """Bottleneck of 4,000 without rows and columns; D sees the part that G draws."""
    with without_numbers():
        model = ContextEncoder(region=region)
    assert model.generator.output_shape == (None, side, side, 3)
    assert model.discriminator.input_shape == (None, side, side, 3)
    assert model.discriminator.output_shape == (None, 1)
    down = [(64, 2), (64, 2), (128, 2), (256, 2), (512, 2), (4000, 1)]
    up = [(512, 1), (256, 2), (128, 2), (64, 2), *more, (3, 2)]
    assert kernels(model.generator) == down + up
    d = [(64, 2), (128, 2), (256, 2), (512, 2), (1, 1)]
    assert kernels(model.discriminator) == more + d
    norms = [x for x in model.discriminator.layers if "BatchNorm" in type(x).__name__]
    assert len(norms) == len(kernels(model.discriminator)) - 2  # none at the image and the score
    if region == "center":
        # By hand: 16 k^2 for each pair of channels, and two numbers for each normalized channel.
        pairs = [3 * 64, 64 * 64, 64 * 128, 128 * 256, 256 * 512, 512 * 4000]
        pairs += [4000 * 512, 512 * 256, 256 * 128, 128 * 64, 64 * 3]
        normed = 64 + 128 + 256 + 512 + 4000 + 512 + 256 + 128 + 64
        assert trainable(model.generator) == 16 * sum(pairs) + 2 * normed
        assert trainable(model.discriminator) == 16 * (192 + 172_032 + 512) + 2 * 896


def test_a_constant_error_of_one():
    """0.999 (56^2 + 10 (64^2 - 56^2)) / 64^2 = 3.1063: the rim of 4 pixels counts ten times."""
    with without_numbers():
        model = ContextEncoder()
    target = tf.zeros([2, 128, 128, 3])
    mask = tf.repeat(middle((128, 128, 3), 4)[None], 2, axis=0)
    error = model.error(tf.ones([2, 64, 64, 3]), target, mask)
    assert 0.999 * float(error) == pytest.approx(3.1063, abs=5e-5)
    drawn = np.zeros([2, 64, 64, 3], "float32")
    drawn[:, 4:60, 4:60] = 1.0  # wrong inside alone
    assert float(model.error(drawn, target, mask)) == pytest.approx(56**2 / 64**2)


def test_the_error_of_random_regions_has_no_weight():
    model = small(region="random")
    mask = blobs((16, 16, 3), np.random.default_rng(0))[None]
    assert float(model.error(tf.ones([1, 16, 16, 3]), tf.zeros([1, 16, 16, 3]), mask)) == 1.0


def test_losses_of_an_undecided_discriminator():
    """2 ln 2 for D, not halved; 0.001 ln 2 + 0.999 of the error for G: a convex mix."""
    model, target = small(), pictures()
    mask = tf.repeat(model.hole[None], 2, axis=0)
    image = without(target.numpy(), mask.numpy())
    seen = []
    model.generator = lambda x, training: tf.zeros([2, 8, 8, 3])
    model.discriminator = lambda x, training: seen.append(x) or tf.zeros([2, 1])
    d = model.discriminator_loss(image, target)
    assert float(d["real"] + d["fake"]) == pytest.approx(2 * 0.693147, abs=1e-5)
    np.testing.assert_array_equal(seen[1], target[:, 4:12, 4:12])  # the middle alone
    g = model.generator_loss(image, target, mask)
    assert float(g["fake"]) == pytest.approx(0.001 * 0.693147, abs=1e-7)
    squares = np.square(target[:, 4:12, 4:12])
    weight = np.full([8, 8, 1], 10.0)
    weight[1:7, 1:7] = 1.0
    assert float(g["l2"]) == pytest.approx(0.999 * np.mean(weight * squares), rel=1e-5)


def test_signs_of_the_scores():
    model, target = small(l2_weight=0.0), pictures()
    mask = tf.repeat(model.hole[None], 2, axis=0)
    model.discriminator = lambda x, training: tf.fill([2, 1], 3.0)
    low, high = np.log1p(np.exp(-3.0)), np.log1p(np.exp(3.0))
    d = model.discriminator_loss(target, target)
    assert float(d["real"]) == pytest.approx(low, rel=1e-5)
    assert float(d["fake"]) == pytest.approx(high, rel=1e-5)
    g = model.generator_loss(target, target, mask)
    assert float(g["fake"]) == pytest.approx(low, rel=1e-5) and float(g["l2"]) == 0


@pytest.mark.parametrize("weight, factor", [(0.999, 10), (0.5, 10), (0.0, 1), (1.0, 1)])
def test_the_generator_is_ten_times_as_fast_where_its_loss_is_a_mix(weight, factor):
    optimizers = small(l2_weight=weight).optimizers
    rates = {player: float(o.learning_rate) for player, o in optimizers.items()}
    assert rates["discriminator"] == pytest.approx(2e-4)
    assert rates["generator"] == pytest.approx(factor * 2e-4)
    assert all((o.beta_1, o.beta_2) == (0.5, 0.999) for o in optimizers.values())


def test_inpainting_changes_missing_pixels_alone_and_hides_the_hole():
    """The prediction's rim of the overlap is never pasted, and the network never sees the hole."""
    model, image, seen = small(), pictures(), []

    def drawn(x, training):
        seen.append(x.numpy())
        return tf.fill([len(x), 8, 8, 3], 0.5)

    model.generator = drawn
    filled = model.inpaint(image, tf.ones([2, 16, 16, 1])).numpy()
    inside = np.broadcast_to(middle((16, 16, 3), 1)[None] > 0, filled.shape)
    assert inside.sum() == 2 * 6 * 6 * 3
    np.testing.assert_array_equal(filled[inside], 0.5)
    np.testing.assert_array_equal(filled[~inside], image.numpy()[~inside])
    for x in seen:
        np.testing.assert_array_equal(x[:, 5:11, 5:11], np.broadcast_to(MEAN_COLOR, [2, 6, 6, 3]))
        np.testing.assert_array_equal(x[~inside], image.numpy()[~inside])
    one = np.zeros([2, 16, 16, 1], "float32")
    one[:, 7, 8] = 1.0
    changed = np.argwhere((model.inpaint(image, one).numpy() != image.numpy()).any(axis=-1))
    assert changed.tolist() == [[0, 7, 8], [1, 7, 8]]


def test_a_model_of_random_regions_fills_any_mask():
    model, image = small(region="random"), pictures()
    mask = np.zeros([2, 16, 16, 1], "float32")
    mask[0, :3, :5] = mask[1, 12:, 9:] = 1.0
    filled = model.inpaint(image, mask).numpy()
    answer = model.generator(without(image.numpy(), mask), training=False).numpy()
    np.testing.assert_array_equal(filled, np.where(mask > 0, answer, image))
    np.testing.assert_array_equal(filled, model.inpaint(image, tf.constant(mask > 0)))


@pytest.mark.parametrize("region", ["center", "random"])
def test_batches_and_preview(region):
    model = small(region=region)
    chosen = Data("synthetic", batch_size=4)
    source = data.resolve(_Config(chosen), ContextEncoder)
    batch = next(iter(data.batches(model, source, chosen, 0)))
    share = batch["mask"].numpy().mean()
    assert share == 36 / 256 if region == "center" else 0.2 < share < 0.3
    found = model.preview(batch)
    assert found.shape == (4, 3, 16, 16, 3)
    for column, key in ((0, "input"), (2, "target")):
        np.testing.assert_array_equal(found[:, column], batch[key])
    np.testing.assert_array_equal(found[:, 1], model.outputs(batch))


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="Did you mean 'center'"):
        small(region="centre")
    with pytest.raises(BadInput, match="8x8 pixels has no inside with a rim of 4"):
        small(overlap=4)
    with pytest.raises(BadInput, match="Both sides of the images must be at least 8 pixels"):
        small(image_shape=(8, 8, 3), overlap=0)
    assert build_generator((48, 32, 1), (24, 16, 1), 2, 4).output_shape == (None, 24, 16, 1)
    assert build_discriminator((24, 16, 1), 2).output_shape == (None, 1)


class Stripes(Images):
    """Diagonal stripes of two colors, with a place and a direction of their own."""

    def __init__(self, count=256):
        self.count = count
        self.survey("synthetic", None)

    def __len__(self):
        return self.count

    def header(self, i):
        return 16, 16, 3, "uint8"

    def read(self, i):
        draw = np.random.default_rng(i)
        y, x = np.mgrid[:16, :16]
        along = y + draw.choice([-1, 1]) * x + draw.integers(8)
        pattern = (along // 4 % 2)[..., None]
        return (255 * np.where(pattern, [0.9, 0.2, 0.1], [0.1, 0.3, 0.8])).astype("uint8")

    def describe(self, i):
        return f"stripes {i}"


@pytest.mark.slow
def test_it_continues_stripes_through_the_hole():
    """300 steps: the squared error inside is below half of that of the mean color."""
    model = small(width=16, code_width=64)
    chosen = Data("synthetic", batch_size=16)
    dataset = data.batches(model, Stripes(), chosen, seed=0)
    model.fit(dataset, steps_per_epoch=300, shuffle=False, verbose=0)
    batch = next(iter(data.batches(model, Stripes(), chosen, seed=1)))
    inside = np.broadcast_to(batch["mask"] > 0, batch["target"].shape)
    filled, target = model.outputs(batch).numpy()[inside], batch["target"].numpy()[inside]
    plain = batch["input"].numpy()[inside]
    assert np.mean((filled - target) ** 2) < 0.5 * np.mean((plain - target) ** 2)


class _Config:
    def __init__(self, chosen):
        self.data, self.model = chosen, {"image_shape": [16, 16, 3]}
