"""StyleGAN2: identities and published numbers that do not need the reference files."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import memory, random
from tfgans.config import Config, names
from tfgans.errors import BadInput
from tfgans.models import get
from tfgans.models.stylegan2 import Generator, Mapping, StyledConv, StyleGAN2
from tfgans.ops.modulated_conv import filtered_conv, modulated_conv
from tfgans.ops.resample import downsample, upsample

CONTRACT = {
    "games": [{}, {"num_classes": 2}],
    # The path length is that of the first half of each replica's batch.
    "like_one_device": {"minibatch_features": 0, "path_length_weight": 0.0},
    "per_part": ["w_avg"],
    "prepared": {StyledConv: lambda layer: math.prod(layer.kernel.shape[2:])},  # sums of squares
}

SMALL = {
    "image_shape": (16, 16, 3), "latent_dim": 16, "style_dim": 16, "mapping_layers": 2,
    "channel_base": 128, "channel_max": 16,
}  # fmt: skip


def small(**settings):
    return StyleGAN2(**SMALL | settings)


def normal(*shape, seed=0):
    return tf.constant(np.random.RandomState(seed).randn(*shape), "float32")


def rms(x):
    return float(tf.sqrt(tf.reduce_mean(tf.square(x))))


# Modulated convolution (spec's checks 1 and 3).


def test_demodulation_takes_out_the_scale_of_weights_and_styles():
    x, kernel, style = normal(3, 8, 8, 5), normal(3, 3, 5, 7), normal(3, 5) + 1.0
    y = modulated_conv(x, kernel, style)
    for scaled in (
        modulated_conv(x, 3.0 * kernel, style),
        modulated_conv(x, kernel, 0.1 * style),
    ):
        np.testing.assert_allclose(y, scaled, atol=1e-5)


def test_modulated_convolution_is_one_convolution_with_explicit_weights_per_sample():
    x, kernel, style = normal(3, 8, 8, 5), normal(3, 3, 5, 7), normal(3, 5) + 1.0
    y = modulated_conv(x, kernel, style).numpy()
    for n in range(3):
        own = kernel.numpy() * style.numpy()[n, None, None, :, None].reshape(1, 1, 5, 1)
        own /= np.sqrt(np.sum(own**2, axis=(0, 1, 2), keepdims=True) + 1e-8)
        np.testing.assert_allclose(np.sum(own**2, axis=(0, 1, 2)), 1.0, atol=1e-5)
        np.testing.assert_allclose(
            y[n : n + 1], tf.nn.conv2d(x[n : n + 1], own, 1, "SAME"), atol=1e-5
        )


def test_variance_of_demodulated_layers_on_white_noise():
    x = normal(8, 32, 32, 64)
    kernel, style = normal(3, 3, 64, 64, seed=1), normal(8, 64, seed=2) * 0.3 + 1.0
    y = modulated_conv(x, kernel, style)
    assert rms(y[:, 1:-1, 1:-1]) == pytest.approx(1.0, abs=0.01)
    edges = tf.concat([y[:, 0, 1:-1], y[:, -1, 1:-1], y[:, 1:-1, 0], y[:, 1:-1, -1]], 1)
    assert rms(edges) == pytest.approx((6 / 9) ** 0.5, abs=0.01)
    assert rms(y[:, ::31, ::31]) == pytest.approx((4 / 9) ** 0.5, abs=0.03)
    up, down = (modulated_conv(x, kernel, style, **{way: 2}) for way in ("up", "down"))
    assert rms(up[:, 2:-2, 2:-2]) == pytest.approx(0.626, abs=0.01)
    assert rms(down[:, 2:-2, 2:-2]) == pytest.approx(0.313, abs=0.01)


def test_up_sampling_convolution_is_up_sampling_then_true_convolution():
    x, kernel = normal(2, 8, 8, 3), normal(3, 3, 3, 4)
    y = filtered_conv(x, kernel, up=2)
    right = tf.nn.conv2d(upsample(x), kernel[::-1, ::-1], 1, "SAME")
    wrong = tf.nn.conv2d(upsample(x), kernel, 1, "SAME")
    inside = np.s_[:, 2:-2, 2:-2]
    np.testing.assert_allclose(y[inside], right[inside], atol=1e-5)
    assert np.abs(y[inside] - wrong[inside]).max() > 0.5


# Resampling (check 2).


def test_fir_resampling_of_ones_impulse_and_ramp():
    ones = tf.ones([1, 8, 8, 1])
    up, down = upsample(ones)[0, :, :, 0].numpy(), downsample(ones)[0, :, :, 0].numpy()
    assert up[5, 5] == pytest.approx(1.0) and down[2, 2] == pytest.approx(1.0)
    assert [up[0, 5], up[0, 0]] == pytest.approx([0.75, 0.5625])
    assert [down[0, 2], down[0, 0]] == pytest.approx([0.875, 0.765625])
    impulse = np.zeros([1, 8, 8, 1], "float32")
    impulse[0, 4, 4] = 1.0
    row = upsample(tf.constant(impulse))[0, 8, :, 0].numpy()
    assert row[row > 0] == pytest.approx([0.1875, 0.5625, 0.5625, 0.1875])
    ramp = tf.tile(tf.reshape(tf.range(8.0), [1, 1, 8, 1]), [1, 8, 1, 1])
    middle = upsample(ramp)[0, 8, :, 0].numpy()
    expected = [0.0, 0.25, 0.75, 1.25]
    assert middle[:4] == pytest.approx(expected) and middle[-2:] == pytest.approx([6.75, 5.25])


def test_second_derivative_of_resampling():
    """R1 needs it; tf.image.resize drops it. Finite differences of the squared gradient norm."""
    x, v = (tf.cast(normal(1, 4, 4, 1, seed=k), "float64") for k in (0, 1))

    def squared_norm(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(downsample(upsample(x) ** 3))
        return tf.reduce_sum(tape.gradient(y, x) ** 2)

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = squared_norm(x)
    analytic = float(tf.reduce_sum(tape.gradient(value, x) * v))
    step = 1e-4
    numeric = float(squared_norm(x + step * v) - squared_norm(x - step * v)) / (2 * step)
    assert numeric == pytest.approx(analytic, rel=1e-6)


# Mapping (check 4) and styles.


def test_mapping_keeps_the_size_of_w_and_ignores_that_of_z():
    z = normal(64, 512)
    for layers, low, high in ((1, 1.0, 1.08), (8, 1.11, 1.63)):
        mapping = Mapping(512, 0, 512, layers)
        w = mapping(z)
        assert low <= float(tf.reduce_mean(w**2)) <= high
        np.testing.assert_allclose(mapping(7.0 * z), w, rtol=1e-3, atol=1e-4)
        assert mapping.dense[0].kernel.numpy().std() == pytest.approx(100.0, rel=0.01)


def test_truncation():
    generator = small().generator
    generator.w_avg.assign(normal(16))
    z = normal(4, 16)
    ws, mean = generator.styles(z), generator.w_avg.numpy()
    np.testing.assert_array_equal(generator.styles(z, truncation=1.0).shape, ws.shape)
    np.testing.assert_allclose(generator.styles(z, truncation=1.0), ws, atol=1e-6)
    assert np.all(generator.styles(z, truncation=0.0).numpy() == mean)
    half = generator.styles(z, truncation=0.5)
    np.testing.assert_allclose(half, (mean + ws) / 2, atol=1e-6)
    cut = generator.styles(z, truncation=0.5, cutoff=2).numpy()
    np.testing.assert_array_equal(cut[:, 2:], ws[:, 2:])
    np.testing.assert_array_equal(cut[:, :2], half[:, :2])
    own = generator.styles(z, truncation=tf.constant([0.0, 0.5, 1.0, -1.0])).numpy()
    np.testing.assert_allclose(own[3], 2 * mean - ws[3], atol=1e-5)
    images = generator(z, truncation=0.0, noise="const").numpy()
    np.testing.assert_allclose(images, images[:1].repeat(4, 0), atol=1e-5)


def test_w_avg_follows_the_mean_and_not_the_mixing_latents():
    model = small(style_mixing=1.0)
    drawn = []
    latents = model.latents
    model.latents = lambda n: drawn.append(latents(n)) or drawn[-1]
    with random.scope(0):
        model.training_styles(8, None)
    assert len(drawn) == 2
    mean = tf.reduce_mean(model.generator.mapping(drawn[0]), 0)
    np.testing.assert_allclose(model.generator.w_avg.numpy(), 0.005 * mean, rtol=1e-4, atol=1e-7)


def test_style_mixing_cuts_once_per_batch_between_the_first_and_the_last_layer():
    model = small()
    num_ws, cuts = model.generator.synthesis.num_ws, []
    for step in range(300):
        with random.scope(0, step):
            ws = model.training_styles(2, None).numpy()
        changes = [np.any(ws[:, k] != ws[:, k - 1], axis=1) for k in range(1, num_ws)]
        where = [k for k, changed in enumerate(changes, 1) if changed.all()]
        assert not any(c.any() != c.all() for c in changes) and len(where) <= 1
        cuts += where
    assert 0.85 < len(cuts) / 300 < 0.95
    assert set(cuts) == set(range(1, num_ws))


# The image as a sum of the levels (check 9) and noise.


def test_skip_generator_adds_up_sampled_images():
    synthesis = small().generator.synthesis
    for rgb in synthesis.to_rgb[1:]:
        rgb.kernel.assign(rgb.kernel * 0.0)
    ws = normal(2, synthesis.num_ws, 16)
    x = tf.tile(synthesis.constant[None], [2, 1, 1, 1])
    conv = synthesis.convs[0]
    x = conv(x, ws[:, 0], conv.noise_image(2, "none"))
    first = synthesis.to_rgb[0](x, ws[:, 1])
    expected = upsample(upsample(first))
    np.testing.assert_allclose(synthesis(ws, noise="none"), expected, atol=1e-5)


def test_noise_is_one_map_per_sample_scaled_by_one_number_per_layer():
    synthesis = small().generator.synthesis
    ws = tf.repeat(normal(1, synthesis.num_ws, 16), 2, axis=0)

    def image(seed, noise="random"):
        with random.scope(seed):
            return synthesis(ws, noise=noise).numpy()

    np.testing.assert_allclose(image(0), image(1), atol=1e-6)  # strengths start at 0
    layer = synthesis.convs[4]
    layer.noise_strength.assign(1.0)
    assert layer.noise_strength.shape == ()
    first = image(0)
    assert np.abs(first - image(1)).max() > 0.01
    assert np.abs(first[0] - first[1]).max() > 0.01
    fixed = image(0, "const")
    np.testing.assert_allclose(fixed, image(1, "const"), atol=1e-6)
    np.testing.assert_allclose(fixed[0], fixed[1], atol=1e-5)
    x = tf.zeros([1, *layer.size, layer.kernel.shape[2]])
    with random.scope(0):
        y = layer(x, ws[:1, 0], layer.noise_image(1, "random")).numpy()
    np.testing.assert_allclose(y, y[..., :1].repeat(y.shape[-1], -1), atol=1e-6)


# Regularizers (checks 5 and 6).


class LinearSynthesis(keras.layers.Layer):
    """Image = 2 Q w with orthonormal columns: every step in w is 2 long in the image."""

    num_ws = 1

    def build(self, shape):
        q, _ = np.linalg.qr(np.random.RandomState(0).randn(16 * 16 * 3, 8))
        self.matrix = tf.constant(2.0 * q.T, "float32")

    def call(self, ws, noise=None):
        return tf.reshape(tf.matmul(ws[:, 0], self.matrix), [-1, 16, 16, 3])


def test_path_length_of_a_linear_synthesis():
    model = small(style_mixing=0)
    model.generator.synthesis = LinearSynthesis()
    model.generator.synthesis.build(None)
    model.training_styles = lambda n, label: normal(n, 1, 8)
    lengths = []
    for step in range(50):
        model.path_length_mean.assign(0.0)
        with random.scope(0, step):
            model.path_length_penalty(None, n=64)
        lengths.append(float(model.path_length_mean.numpy()) / 0.01)
    # |J^T y| has mean square 4 * 8 / (16 * 16); the mean of the root is a little smaller.
    assert np.mean(lengths) == pytest.approx((32 / 256) ** 0.5, rel=0.05)
    assert np.sqrt(np.mean(np.square(lengths))) <= (32 / 256) ** 0.5


def test_path_length_penalty_of_one_image():
    """weight (L - mean)^2, 4 times as it is taken every 4th step; the mean moves to 0.01 L."""
    model = small(style_mixing=0, path_length_weight=2.0)
    model.generator.synthesis = LinearSynthesis()
    model.generator.synthesis.build(None)
    model.training_styles = lambda n, label: normal(n, 1, 8)
    with random.scope(0):
        penalty = float(model.path_length_penalty(None, n=2)["path_length"])
    length = float(model.path_length_mean.numpy()) / 0.01
    assert penalty == pytest.approx(4 * 2.0 * (0.99 * length) ** 2, rel=1e-4)


def test_path_length_penalty_is_nothing_for_equal_lengths_at_their_mean():
    model = small(style_mixing=0)
    model.generator.synthesis = LinearSynthesis()
    model.generator.synthesis.build(None)
    model.generator.synthesis.matrix *= 0.0
    model.training_styles = lambda n, label: normal(n, 1, 8)
    with random.scope(0):
        penalty = float(model.path_length_penalty(None, n=8)["path_length"])
    assert penalty == pytest.approx(0.0, abs=1e-12)


def test_r1_of_a_linear_discriminator():
    """gamma / 2 |a|^2, 16 times as it is taken every 16th step."""
    model = small(r1_gamma=10.0)
    a = normal(16, 16, 3)
    model.discriminator = lambda image, label: tf.reduce_sum(image * a, [1, 2, 3])[:, None]
    found = float(model.r1_penalty(normal(4, 16, 16, 3), None)["r1"])
    assert found == pytest.approx(16 * 5.0 * float(tf.reduce_sum(a**2)), rel=1e-5)


def test_r1_is_taken_before_augmentation():
    """A mirror turns the gradient with the image: its norm stays."""
    model = small(r1_gamma=10.0)
    a = normal(16, 16, 3)
    model.discriminator = lambda image, label: tf.reduce_sum(image * a, [1, 2, 3])[:, None]
    plain = float(model.r1_penalty(normal(4, 16, 16, 3), None)["r1"])
    model.augmentation = lambda image: image[:, :, ::-1]
    assert float(model.r1_penalty(normal(4, 16, 16, 3), None)["r1"]) == pytest.approx(plain)


# Numbers of the training (check 7).


def test_optimizers_carry_the_correction_for_lazy_regularization():
    model = small(learning_rate=0.002)
    g, d = (model.default_optimizers()[player] for player in ("generator", "discriminator"))
    assert float(g.learning_rate) == pytest.approx(0.0016)
    assert float(d.learning_rate) == pytest.approx(0.00188235, rel=1e-5)
    assert (g.beta_1, d.beta_1, g.epsilon) == (0.0, 0.0, 1e-8)
    assert [g.beta_2, d.beta_2] == pytest.approx([0.991992, 0.9905855], abs=1e-6)


def test_ema_decay_and_its_ramp():
    assert small(ema_kimg=10).ema_decay(32) == pytest.approx(0.997784, abs=1e-6)
    model = small(ema_kimg=20, ema_rampup=0.05)
    for seen, decay in ((0, 0.0), (1e3, 0.4118), (1e4, 0.9151), (2e5, 0.99557), (4e5, 0.99778)):
        model.step.assign(int(seen / 64))
        exact = 0.5 ** (64 / max(min(20e3, 0.05 * int(seen / 64) * 64), 1e-8))
        assert float(model.ema_decay(64)) == pytest.approx(exact, abs=1e-5)
        assert float(model.ema_decay(64)) == pytest.approx(decay, abs=0.02)


def test_order_of_moves():
    model = small()
    model.compile()
    moves = []
    model.update = lambda player, loss, *args, n=None: moves.append(loss.__name__) or {}
    data = {"image": normal(4, 16, 16, 3)}
    expected = {
        0: ["generator_loss", "path_length_penalty", "discriminator_loss", "r1_penalty"],
        1: ["generator_loss", "discriminator_loss"],
        4: ["generator_loss", "path_length_penalty", "discriminator_loss"],
    }
    for step, names_ in (expected | {16: expected[0], 20: expected[4]}).items():
        moves.clear()
        model.now = step
        with random.scope(0, step):
            model.train_step(data)
        assert moves == names_


# Labels, shapes, channels, architectures.


def test_labels_reach_both_networks():
    model = small(num_classes=3)
    z, image = normal(3, 16), normal(3, 16, 16, 3)
    one_hot = tf.eye(3)
    images = model(tf.repeat(z[:1], 3, axis=0), label=[0, 1, 2]).numpy()
    assert np.abs(images[0] - images[1]).max() > 1e-3
    np.testing.assert_array_equal(images, model(tf.repeat(z[:1], 3, axis=0), label=one_hot))
    scores = model.discriminator(tf.repeat(image[:1], 3, axis=0), label=one_hot).numpy()
    assert len(np.unique(scores)) == 3
    for labels in ([0, 3], [-1, 0]):
        with pytest.raises(BadInput, match="from 0 to 2"):
            model.sample(2, labels=labels)
    with pytest.raises(BadInput, match="No labels were given, and this model has 3"):
        model(z)
    with pytest.raises(BadInput, match="takes no labels"):
        small().sample(2, labels=[[1.0], [0.0]])
    in_turn = model.sample(3, seed=0)
    np.testing.assert_array_equal(in_turn, model.sample(3, seed=0, labels=[0, 1, 2]))


@pytest.mark.thorough
@pytest.mark.parametrize("image_shape", [(28, 28, 1), (16, 24, 4), (24, 16, 2), (8, 8, 6)])
def test_any_shape_and_number_of_channels_trains(image_shape):
    model = small(image_shape=image_shape)
    model.compile(run_eagerly=True)
    model.now = 0
    before = model.discriminator.get_weights()
    with random.scope(0):
        logs = model.train_step({"image": normal(4, *image_shape)})
    assert all(np.isfinite(v) for v in logs.values()) and len(logs) == 5
    assert any(
        np.any(a != b) for a, b in zip(before, model.discriminator.get_weights(), strict=True)
    )
    assert model.sample(2, seed=0).shape == (2, *image_shape)


@pytest.mark.parametrize(
    "architecture", ["skip", pytest.param("resnet", marks=pytest.mark.thorough), "orig"]
)
def test_a_model_is_the_same_on_every_machine(architecture, monkeypatch):
    settings = {
        "generator_architecture": architecture,
        "discriminator_architecture": architecture,
        "style_mixing": 0,
    }
    z, found = normal(4, 16), []
    model = small(**settings)
    for machine in ("plain", "cpu", "gpu"):
        monkeypatch.setenv("TFGANS_MACHINE", machine)
        model.path_length_mean.assign(0.0)
        with random.scope(0), tf.GradientTape() as tape:
            loss = model.path_length_penalty(None, n=4)["path_length"]
        gradient = tape.gradient(loss, model.generator.trainable_variables)
        images = [model.generator(z, noise=noise) for noise in ("const", "none")]
        found.append((images, float(loss), [g for g in gradient if g is not None]))
    images, loss, gradient = found[0]
    for other_images, other_loss, other_gradient in found[1:]:
        for a, b in zip(images, other_images, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)
        assert loss == pytest.approx(other_loss, rel=1e-4)
        for a, b in zip(gradient, other_gradient, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * (1e-3 + np.max(np.abs(a))))


def count(network):
    return sum(int(np.prod(w.shape)) for w in network.trainable_variables)


COUNTS = {  # trainable parameters of generator and discriminator, as published
    "stylegan2": (30_370_060, 29_012_513),
    "stylegan2-512": (30_276_583, 28_982_849),
    "stylegan2-256": (30_034_338, 28_864_129),
    "stylegan2-config-e": (24_900_764, 24_038_161),
    "stylegan2-paper256": (24_767_458, 24_001_089),
    "stylegan2-auto-256": (23_191_522, 24_001_089),
    "stylegan2-cifar": (19_947_539, 20_720_641),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_the_published_presets(name, monkeypatch):
    # Only the shapes are looked at: drawing tens of millions of numbers, and copying them, is slow.
    zeros = keras.initializers.Zeros()
    monkeypatch.setattr(keras.initializers, "RandomNormal", lambda stddev: zeros)
    monkeypatch.setattr(get("stylegan2"), "ema_of", lambda self, network: network)
    settings = Config.load(name)
    if name != "stylegan2":
        assert settings.model
    cls = get(settings.architecture)
    model = cls(**settings.model)
    assert (count(model.generator), count(model.discriminator)) == COUNTS[name]
    if name == "stylegan2":
        assert count(model.generator.mapping) == 2_101_248


def test_every_preset_of_stylegan2_is_a_valid_configuration():
    presets = [name for name in names() if name.startswith("stylegan2")]
    assert set(COUNTS) <= set(presets)
    for name in presets:
        settings = Config.load(name)
        assert settings.architecture == "stylegan2"
        batch = settings.data.batch_size
        assert batch % settings.model.get("minibatch_group", 4) == 0


@pytest.mark.thorough
def test_adaptive_augmentation_moves_p_in_training():
    model = small(augment="b")
    model.compile(run_eagerly=True)
    model.discriminator.output_dense.bias.assign([100.0])  # D is sure that all are real
    data = {"image": normal(4, 16, 16, 3)}
    for step in range(9):
        model.now = step
        with random.scope(0, step):
            model.train_step(data)
    # Adjusted after steps 0, 4 and 8, by the images seen in between: 4, 16 and 16.
    assert float(model.augmentation.p.numpy()) == pytest.approx(36 / 500_000, rel=1e-5)


def test_wrong_words_are_refused():
    with pytest.raises(ValueError, match="'skip', 'resnet' or 'orig'"):
        small(generator_architecture="residual")
    with pytest.raises(ValueError, match="24x36"):
        Generator(
            (22, 36, 3), latent_dim=4, num_classes=0, style_dim=4, mapping_layers=1,
            channel_base=64, channel_max=4, architecture="skip", clamp=None,
        )  # fmt: skip


def test_half_precision_leaves_z_and_labels_as_given():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small(num_classes=2)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.sample(3, seed=0).dtype == tf.float32
    assert model(tf.zeros([2, model.latent_dim]), tf.constant([0, 1])).shape[0] == 2


@pytest.mark.thorough
@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_recomputed_parts_change_the_memory_and_not_the_numbers(architecture):
    settings = {"generator_architecture": architecture, "discriminator_architecture": architecture}
    model = small(**settings)
    model.generator.synthesis.convs[-2].noise_strength.assign(0.5)
    real = normal(4, *model.image_shape)

    def run(player, loss):
        def step():
            weights = [w.value for w in model.weights_of(player)]
            model.path_length_mean.assign(0.0)
            with random.scope(0), tf.GradientTape() as tape:
                total = tf.add_n(list(loss().values()))
            return [total, *tape.gradient(total, weights, unconnected_gradients="zero")]

        graph = tf.function(step, autograph=False).get_concrete_function()
        return graph(), memory.peak_bytes(graph.graph)

    for player, loss in (
        ("generator", lambda: model.generator_loss(None, n=4)),
        ("generator", lambda: model.path_length_penalty(None, n=4)),
        ("discriminator", lambda: model.discriminator_loss(real, None)),
        ("discriminator", lambda: model.r1_penalty(real, None)),
    ):
        found = []
        for recompute_from in (None, 8):
            for network in (model.generator.synthesis, model.discriminator):
                network.recompute_from = recompute_from
            found.append(run(player, loss))
        (plain, before), (again, after) = found
        for a, b in zip(plain, again, strict=True):
            a, b = np.asarray(a), np.asarray(b)
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * (1e-3 + np.abs(a).max()))
        assert after < before, loss.__name__
    averaged = small(recompute_from=8, **settings)  # its averages are not trainable
    averaged.set_weights(model.get_weights())
    np.testing.assert_allclose(averaged.sample(2, seed=0), model.sample(2, seed=0), atol=1e-6)


def test_a_period_is_at_least_1():
    for word in ("r1_every", "path_length_every"):
        with pytest.raises(BadInput, match=f"model.{word} .* 1 or more, not 0"):
            small(path_length_weight=0.0, **{word: 0})
