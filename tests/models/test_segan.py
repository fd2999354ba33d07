"""SEGAN: sizes and weight counts, both forms of VBN, losses by hand, waves of any length."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.segan import SEGAN, WIDTHS, build_discriminator, build_generator
from tfgans.ops.emphasis import deemphasis, preemphasis

CONTRACT = {
    "games": [{}, {"vbn": "fixed", "reference_size": 2}],
    # No loss looks across the batch.
    "like_one_device": {"vbn": "fixed", "reference_size": 2},
}
KEYS = np.random.RandomState(0)


def small(**settings):
    return SEGAN(**{"length": 64, "widths": (4, 4, 8), "reference_size": 2} | settings)


@pytest.fixture(scope="module")
def model():
    return small(overlap=8)


def waves(n=4, length=64):
    return KEYS.uniform(-0.5, 0.5, [n, length, 1]).astype("float32")


# Networks


def test_sizes_and_weight_counts():
    """16384 x 1 -> 8 x 1024 -> 8 x 2048 -> 16384 x 1."""
    with without_numbers():
        generator, discriminator = build_generator(16_384), build_discriminator(16_384)
    assert trainable(generator) == 73_100_049 and trainable(discriminator) == 24_373_081
    assert generator.inputs[1].shape == (None, 8, 1024)
    assert generator.output.shape == (None, 16_384, 1)
    shapes = [layer.output.shape[1:] for layer in generator.layers]
    assert (8, 2048) in shapes and shapes.index((8, 1024)) < shapes.index((8, 2048))
    convs = [x for x in generator.layers if type(x) is keras.layers.Conv1D]
    assert tuple(x.filters for x in convs) == WIDTHS
    assert {x.kernel_size for x in convs} == {(31,)}
    judged = discriminator.layers
    assert sum("VirtualBatchNorm" in type(x).__name__ for x in judged) == 11
    slopes = [x.negative_slope for x in judged if type(x).__name__ == "LeakyReLU"]
    assert slopes == [pytest.approx(0.3)] * 11
    assert (8, 1) in [x.output.shape[1:] for x in judged]


def test_a_strided_convolution_and_its_adjoint_are_those_of_keras():
    """k31 s2 "same" pads 14 on the left and 15 on the right; the transposed form is its adjoint."""
    down = keras.layers.Conv1D(3, 31, 2, "same", use_bias=False)
    up = keras.layers.Conv1DTranspose(2, 31, 2, "same", use_bias=False)
    x, y = KEYS.randn(1, 64, 2).astype("float32"), KEYS.randn(1, 32, 3).astype("float32")
    down.build(x.shape), up.build(y.shape)
    up.kernel.assign(down.kernel)
    np.testing.assert_allclose(np.sum(down(x) * y), np.sum(x * up(y)), rtol=1e-4)
    padded = np.pad(x[0], [[14, 15], [0, 0]])
    wanted = [np.einsum("kc,kcf->f", padded[2 * i : 2 * i + 31], down.kernel) for i in range(32)]
    np.testing.assert_allclose(down(x)[0], wanted, atol=1e-4)


def test_weights_begin_as_in_the_code():
    network = build_generator(64, (8, 16))
    for layer in network.layers:
        if "Conv" in type(layer).__name__:
            kernel = layer.kernel.numpy()
            assert 0.012 < kernel.std() < 0.02 and np.abs(kernel).max() <= 0.0401
            assert not layer.bias.numpy().any()
        if "PReLU" in type(layer).__name__:
            assert layer.alpha.shape == (1, layer.output.shape[-1])  # one slope for each channel
            assert not layer.alpha.numpy().any()


def test_skips_leave_before_the_activation_and_join_beside():
    """A unit that the PReLU of the encoder cuts still reaches the decoder, by its skip."""
    network = build_generator(16, (2, 3))
    convs = [layer for layer in network.layers if "Conv1D" in type(layer).__name__]
    for layer in convs:
        layer.kernel.assign(tf.zeros_like(layer.kernel))
        layer.bias.assign(tf.zeros_like(layer.bias))
    convs[0].bias.assign([-1.0, -1.0])  # after its PReLU nothing is left
    last = convs[-1]  # of 2 decoded channels and 2 of the skip
    assert last.kernel.shape[2] == 4
    given = [tf.zeros([1, 16, 1]), tf.zeros([1, 4, 3])]
    for channel, wanted in ((0, 0), (1, 0), (2, -1), (3, -1)):
        kernel = np.zeros(last.kernel.shape, "float32")
        kernel[:, 0, channel] = 0.1
        last.kernel.assign(kernel)
        wave = network(given)[0].numpy()
        assert (wave < -0.05).all() if wanted else not wave.any()


def test_noise_enters_before_the_code(model):
    joins = [layer for layer in model.generator.layers if "Concatenate" in type(layer).__name__]
    assert joins[0].input[0] is model.generator.inputs[1]
    noisy = tf.constant(waves(1))
    with random.scope(0):
        a, b = (model.generator([noisy, model.latents(1)]) for _ in range(2))
    assert np.abs(a - b).max() > 1e-7


# The game


class Same(keras.layers.Layer):
    """A generator that returns its input with an error of 0.1."""

    def call(self, inputs, training=False):
        return inputs[0] + 0.1


def test_losses_by_hand(monkeypatch):
    """A constant error of 0.1 is an L1 term of 10; squared terms are not halved."""
    model, noisy = small(), waves()
    seen = []

    def judge(pairs, training):
        seen.append(pairs.numpy())
        return tf.reshape([0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25], [8, 1])

    monkeypatch.setattr(model, "generator", Same())
    monkeypatch.setattr(model, "discriminator", judge)
    with random.scope(0):
        d = model.discriminator_loss(tf.constant(noisy), tf.constant(0.5 * noisy))
        g = model.generator_loss(tf.constant(noisy), tf.constant(noisy))
    assert {k: float(v) for k, v in d.items()} == pytest.approx({"real": 0.25, "fake": 0.0625})
    assert {k: float(v) for k, v in g.items()} == pytest.approx({"fake": 0.5625, "l1": 10.0})
    # D sees the wave beside the noisy one: real pairs first, then those of G.
    np.testing.assert_allclose(seen[0][:4], np.concatenate([0.5 * noisy, noisy], -1))
    np.testing.assert_allclose(seen[0][4:], np.concatenate([noisy + 0.1, noisy], -1))


def test_scores_of_both_forms():
    """Current real pairs are plain batch normalization; a fixed reference is the same each time."""
    noisy, clean, fake = (tf.constant(waves()) for _ in range(3))
    model = small()
    real_score, fake_score = model.scores(noisy, clean, fake)
    again, other = model.scores(noisy, clean, waves())
    np.testing.assert_allclose(real_score, again, atol=1e-6)
    assert np.abs(other - fake_score).max() > 1e-6
    changed = model.scores(noisy, tf.concat([clean[:1], waves(3)], 0), fake)
    assert np.abs(changed[0][0] - real_score[0]).max() > 1e-7  # of the whole batch
    fixed = small(vbn="fixed")
    fixed.keep_reference(noisy, clean)
    np.testing.assert_array_equal(fixed.reference, tf.concat([clean, noisy], -1)[:2])
    real_score, fake_score = fixed.scores(noisy, clean, fake)
    changed = fixed.scores(noisy, tf.concat([clean[:1], waves(3)], 0), fake)
    np.testing.assert_allclose(changed[0][0], real_score[0], atol=1e-6)  # of each wave alone
    np.testing.assert_allclose(changed[1], fake_score, atol=1e-6)
    before = fake_score.numpy()
    fixed.reference.assign(tf.concat([waves(2), waves(2)], -1))
    assert np.abs(fixed.scores(noisy, clean, fake)[1] - before).max() > 1e-7


def test_the_real_branch_is_batch_normalization():
    """Its first normalized layer has mean 0 and variance 1 in each channel."""
    model, pairs = small(), tf.concat([waves(6), waves(6)], -1)
    layers = model.discriminator.layers
    norm = next(k for k, layer in enumerate(layers) if "Virtual" in type(layer).__name__)
    layers[norm].gamma.assign(tf.ones(4))
    y = layers[norm](100.0 * layers[norm - 1](tf.concat([pairs, 3.0 * pairs], 0)))[:6]
    np.testing.assert_allclose(tf.reduce_mean(y, [0, 1]), 0.0, atol=1e-3)
    np.testing.assert_allclose(tf.math.reduce_std(y, [0, 1]), 1.0, atol=1e-3)


def test_the_reference_is_the_first_batch_and_stays():
    model = small(vbn="fixed")
    model.compile(run_eagerly=True)
    noisy, clean = waves(9), waves(9)
    dataset = tf.data.Dataset.from_tensor_slices({"noisy": noisy, "clean": clean})
    dataset = dataset.batch(3, drop_remainder=True)
    model.fit(dataset, verbose=0, shuffle=False)
    first = np.concatenate([clean, noisy], -1)[:2]
    np.testing.assert_array_equal(model.reference, first)
    short = small(vbn="fixed", reference_size=9)
    short.compile(run_eagerly=True)
    with pytest.raises(BadInput, match="takes 9 pairs of the first batch, which has 3. Lower"):
        short.fit(dataset, verbose=0, shuffle=False)


def test_waves_on_the_scale_of_16_bits_are_refused():
    model = small()
    model.compile(run_eagerly=True)
    with pytest.raises(BadInput, match="SEGAN's 'noisy' is float in .*; its largest value is 900"):
        model.train_on_batch({"noisy": np.full([2, 64, 1], 900.0), "clean": waves(2)})


def test_optimizers():
    for optimizer in small().default_optimizers().values():
        assert type(optimizer) is keras.optimizers.RMSprop
        assert float(optimizer.learning_rate) == pytest.approx(2e-4) and optimizer.rho == 0.9
        assert optimizer.epsilon == 1e-10  # of TensorFlow 1, under the root


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"length": 60}, "3 convolutions halve a window, .* multiple of 8, not 60"),
        ({"length": 0}, "multiple of 8, not 0"),
        ({"vbn": "real"}, "No form of virtual batch normalization named 'real'"),
        ({"preemphasis": 1.0}, "from 0 to below 1, not 1.0"),
        ({"overlap": 33}, "at most half a window, 32, not 33"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(BadInput, match=message):
        small(**settings)


# Waves of any length


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 400])
def test_a_wave_keeps_its_length(model, length):
    wave = waves(2, length)[..., 0]
    assert model.enhance(wave).shape == (2, length)


def test_joined_windows_of_a_perfect_generator_are_the_wave(monkeypatch):
    """Emphasis goes over the whole wave, so no border is seen; overlapping windows fade exactly."""
    wave = np.cumsum(KEYS.uniform(-0.05, 0.05, [2, 1000]), axis=1).astype("float32")
    wave = np.clip(wave, -0.9, 0.9)
    for overlap in (0, 8, 32):
        model = small(overlap=overlap)
        monkeypatch.setattr(model, "generator", lambda given, training: given[0])
        np.testing.assert_allclose(model.enhance(wave), wave, atol=1e-5)
    one = small(preemphasis=0.0)
    monkeypatch.setattr(one, "generator", lambda given, training: given[0])
    np.testing.assert_array_equal(one.enhance(wave), wave)


def test_windows_are_enhanced_one_by_one():
    """By hand: pre-emphasis of the whole, windows joined, de-emphasis of the whole."""
    model, wave = small(), waves(1, 150)[..., 0]
    emphasized = preemphasis(tf.pad(wave, [[0, 0], [0, 42]]), 0.95)
    parts = []
    for k in range(3):
        with random.scope(5, k):
            z = model.latents(1)
        window = emphasized[:, 64 * k : 64 * (k + 1), tf.newaxis]
        parts.append(model.generator([window, z])[..., 0])
    wanted = deemphasis(tf.concat(parts, 1), 0.95)[:, :150]
    np.testing.assert_allclose(model.enhance(wave, 5), wanted, atol=1e-6)


def test_an_overlap_fades(monkeypatch):
    """Windows that answer with their own number: 0, then from 0 to 1, then 1, ..."""
    model = small(overlap=16, preemphasis=0.0)
    number = iter(range(9))
    monkeypatch.setattr(
        model, "generator", lambda given, training: tf.ones_like(given[0]) * next(number) / 10
    )
    found = np.concatenate([*model_parts(model, 160)])
    rise = (np.arange(16) + 0.5) / 160
    wanted = [np.zeros(48), rise, np.full(32, 0.1), 0.1 + rise, np.full(32, 0.2), 0.2 + rise]
    np.testing.assert_allclose(found, np.concatenate(wanted), atol=1e-6)


def model_parts(model, total):
    state = model.start(1)
    for k in range(-(-total // model.hop)):
        window = tf.zeros([1, model.length])
        part, state = model.advance(window, tf.constant(k, "int64"), 0, state)
        yield part[0, : total - k * model.hop]


@pytest.mark.parametrize("length", [1, 40, 64, 500])
def test_a_stream_is_the_whole(model, length):
    wave = waves(1, length)[0, :, 0]
    read = []

    def part(start, count):
        read.append((start, count))
        return wave[start : start + count]

    parts = [*model.stream(part, length, seed=3)]
    np.testing.assert_allclose(np.concatenate(parts), model.enhance(wave[None], 3)[0], atol=1e-6)
    assert max(count for _, count in read) <= 64 and max(map(len, parts)) <= 56
    assert [start for start, _ in read] == [*range(0, length, 56)]


def test_seeds_give_different_waves(model):
    wave = waves(2, 100)[..., 0]
    a, b = (model.endpoints()["enhance"][0](wave, tf.constant(s, "int64"))["wave"] for s in (0, 1))
    assert np.abs(a - b).max() > 1e-8
    np.testing.assert_array_equal(model(wave), a)


def test_the_preview_is_three_sounds(model):
    noisy, clean = waves(9), waves(9)
    batch = {"noisy": preemphasis(noisy, 0.95).numpy(), "clean": preemphasis(clean, 0.95).numpy()}
    with random.scope(0):
        seen = model.preview(batch)
    assert seen.names == ("noisy", "enhanced", "clean") and seen.rate == 16_000
    assert np.asarray(seen).shape == (3, 8 * 64)
    np.testing.assert_allclose(np.asarray(seen)[0], noisy[:8].reshape(-1), atol=1e-5)
    np.testing.assert_allclose(np.asarray(seen)[2], clean[:8].reshape(-1), atol=1e-5)
