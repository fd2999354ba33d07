"""StyleGAN: AdaIN, noise, mixing, truncation, R1, growth, labels, latent tools, the counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgans import images, latents, random
from tfgans.errors import BadInput
from tfgans.latents import edits, find, sefa
from tfgans.models.progan import double, halve, lrelu
from tfgans.models.stylegan import Discriminator, Mapping, StyledConv, StyleGAN, Synthesis, blur
from tfgans.optimizers import Adam

CONTRACT = {
    "games": [{}, {"num_classes": 2}],
    "replace_score": lambda image, outputs, score: tf.repeat(score, outputs.shape[-1], axis=1),
    "like_one_device": {"minibatch_group": 1, "stable_steps": 1},
    "per_part": ["w_avg"],
    "exported_atol": 1e-5,  # the first norm divides roundings of the constant by a small deviation
    "rate": 1e-4,  # gradients of the first noise are large: the constant has no deviation
}

SMALL = {
    "image_shape": (16, 16, 2), "latent_dim": 6, "style_dim": 5, "mapping_layers": 2,
    "channel_base": 64, "channel_max": 8, "stable_steps": 2, "fade_steps": 4,
}  # fmt: skip


def small(**settings):
    """From 8x8 to 16x16: stages of 2 and 4 steps, then the last."""
    model = StyleGAN(**SMALL | settings)
    for network in (model.generator, model.generator_ema):
        network.synthesis.lod.assign(0.0)
    return model


def synthesis_of(side, channel_base=64):
    """A synthesis with random biases and noise weights."""
    network = Synthesis((side, side, 2), 5, channel_base, 8)
    for i, conv in enumerate(network.convs):
        conv.bias.assign(0.3 * normal(*conv.bias.shape, seed=2 * i))
        conv.noise_weight.assign(0.3 * normal(*conv.bias.shape, seed=2 * i + 1))
    return network


def normal(*shape, seed=0):
    return tf.constant(np.random.RandomState(seed).randn(*shape), "float32")


def at(model, step):
    """Puts a model to a step of its schedule."""
    model.step.assign(step)
    model.now = step
    return model


def maps_of(synthesis, ws, noise="none"):
    """The outputs of all layers, not only of the last one of each level."""
    x, maps = None, []
    for k, conv in enumerate(synthesis.convs):
        x = conv(x, ws[:, k], conv.noise_image(len(ws), noise))
        maps.append(x.numpy())
    return maps


# Layers.


def test_style_sets_mean_and_deviation_of_each_map():
    """By the first half of A w, plus 1, and by the second half."""
    synthesis, ws = synthesis_of(16), normal(3, 6, 5)
    for k, x in enumerate(maps_of(synthesis, ws, "const")):
        layer = synthesis.convs[k]
        a = ws.numpy()[:, k] @ layer.affine.kernel.numpy() / 5**0.5
        scale, shift = np.split(a, 2, axis=1)
        np.testing.assert_allclose(x.mean(axis=(1, 2)), shift, atol=1e-5)
        np.testing.assert_allclose(x.std(axis=(1, 2)), np.abs(scale + 1), atol=1e-3)
    # A constant that is the same everywhere has no deviation: the bias of the style remains.
    synthesis.convs[0].noise_weight.assign(np.zeros(8))
    first = maps_of(synthesis, ws, "const")[0]
    shift = np.split(ws.numpy()[:, 0] @ synthesis.convs[0].affine.kernel.numpy() / 5**0.5, 2, 1)[1]
    np.testing.assert_allclose(first, shift[:, None, None].repeat(4, 1).repeat(4, 2), atol=1e-3)


@pytest.mark.parametrize("up", [True, False])
def test_a_layer_in_its_order(up):
    """Doubling, convolution, blur, noise, bias, activation, normalization, style."""
    layer = StyledConv(3, 4, (8, 8), 5, up=up)
    layer.bias.assign(normal(4, seed=3))
    layer.noise_weight.assign(normal(4, seed=4))
    x, w, noise = normal(2, 4 if up else 8, 4 if up else 8, 3), normal(2, 5), normal(2, 8, 8, 1)
    y = double(x) if up else x
    y = tf.nn.conv2d(y, layer.conv.kernel * (2 / 27) ** 0.5, 1, "SAME")
    if up:
        taps = np.outer([1, 2, 1], [1, 2, 1]).astype("float32") / 16
        taps = np.tile(taps[:, :, None, None], [1, 1, 4, 1])
        y = tf.nn.depthwise_conv2d(y, taps, [1, 1, 1, 1], "SAME")
    y = (y + noise * layer.noise_weight + layer.bias).numpy()
    y = np.where(y > 0, y, 0.2 * y)
    mean, mean_of_squares = y.mean((1, 2), keepdims=True), (y**2).mean((1, 2), keepdims=True)
    y = (y - mean) / np.sqrt(mean_of_squares - mean**2)
    style = w.numpy() @ layer.affine.kernel.numpy() / 5**0.5
    y = y * (1 + style[:, None, None, :4]) + style[:, None, None, 4:]
    np.testing.assert_allclose(layer(x, w, noise), y, atol=2e-5)


def test_blur_of_an_impulse():
    impulse = np.zeros([1, 5, 5, 2], "float32")
    impulse[0, 2, 2] = 1.0
    wanted = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    np.testing.assert_allclose(blur(tf.constant(impulse))[0, 1:4, 1:4, 1], wanted)
    np.testing.assert_allclose(blur(tf.ones([1, 4, 4, 1]))[0, 0, :2, 0], [0.5625, 0.75])


def test_noise_is_one_map_per_image_with_a_weight_per_channel():
    model = small()
    synthesis = model.generator.synthesis
    ws = tf.repeat(normal(1, 6, 5), 2, axis=0)

    def image(seed):
        with random.scope(seed):
            return synthesis(ws, noise="random").numpy()

    np.testing.assert_array_equal(image(0), image(1))  # all weights start at 0
    layer = synthesis.convs[3]
    assert layer.noise_weight.shape == (8,)
    layer.noise_weight.assign(np.ones(8))
    first = image(0)
    assert np.abs(first - image(1)).max() > 0.01 and np.abs(first[0] - first[1]).max() > 0.01
    layer.conv.kernel.assign(tf.zeros_like(layer.conv.kernel))
    layer.affine.kernel.assign(tf.zeros_like(layer.affine.kernel))
    with random.scope(0):
        y = layer(tf.ones([2, 8, 8, 8]), ws[:, 3], layer.noise_image(2, "random")).numpy()
    np.testing.assert_allclose(y, y[..., :1].repeat(8, -1), atol=1e-5)


def test_normalization_takes_the_scale_of_a_kernel_away_and_not_its_sign():
    synthesis = Synthesis((16, 16, 2), 5, 64, 8)
    ws, kernel = normal(2, 6, 5), synthesis.convs[2].conv.kernel
    before = synthesis(ws, noise="none").numpy()
    kernel.assign(7.0 * kernel)
    np.testing.assert_allclose(synthesis(ws, noise="none"), before, atol=1e-4)
    kernel.assign(-kernel)
    assert np.abs(synthesis(ws, noise="none") - before).max() > 0.1


def test_a_new_network_begins_as_the_paper_says():
    synthesis = synthesis_of(8)
    np.testing.assert_array_equal(synthesis.convs[0].constant, np.ones([4, 4, 8]))
    new = StyledConv(64, 64, (4, 4), 64)
    assert not np.any(new.noise_weight) and not np.any(new.bias) and not np.any(new.affine.bias)
    assert new.conv.kernel.numpy().std() == pytest.approx(1.0, rel=0.02)
    assert new.conv.scale == pytest.approx((2 / 576) ** 0.5)
    assert synthesis.to_rgb[1].scale == pytest.approx(8**-0.5)  # gain 1, linear, not bounded


def test_mapping_moves_slowly():
    """Adam's first step of 0.001 moves an effective weight of the mapping by 6.25e-7."""
    mapping = Mapping(512, 0, 512, 1)
    layer = mapping.dense[0]
    assert layer.kernel.numpy().std() == pytest.approx(100.0, rel=0.01)
    z = normal(4, 512)
    w = mapping(z)
    x = z.numpy() / np.sqrt((z.numpy() ** 2).mean(1, keepdims=True) + 1e-8)
    wanted = x @ layer.kernel.numpy() * 0.01 * (2 / 512) ** 0.5
    np.testing.assert_allclose(w, np.where(wanted > 0, wanted, 0.2 * wanted), atol=1e-4)
    np.testing.assert_allclose(mapping(5 * z), w, atol=1e-4)
    before, probe = layer.kernel.numpy(), tf.one_hot([0, 100], 512)
    optimizer = Adam(1e-3, beta_1=0.0, beta_2=0.99)
    weights = [layer.kernel, layer.bias]
    optimizer.build(weights)
    with tf.GradientTape() as tape:
        loss = 1e6 * tf.reduce_sum(mapping(z))
    optimizer.apply(tape.gradient(loss, [v.value for v in weights]), weights)
    moved = np.float64(layer.kernel.numpy()) - before
    effect = tf.matmul(probe, tf.constant(moved, "float32")) * layer.scale
    np.testing.assert_allclose(np.abs(effect), 6.25e-7, rtol=2e-2)
    np.testing.assert_allclose(layer(0 * z)[2], layer.bias * 0.01, rtol=1e-5)


def test_networks_of_the_paper(monkeypatch):
    zeros = keras.initializers.Zeros()
    monkeypatch.setattr(keras.initializers, "RandomNormal", lambda stddev: zeros)
    monkeypatch.setattr(StyleGAN, "ema_of", lambda self, network: network)
    model = StyleGAN()

    def count(network):
        return sum(int(np.prod(w.shape)) for w in network.trainable_variables)

    generator = model.generator
    assert count(generator) == 26_219_627 and count(model.discriminator) == 23_087_249
    assert count(generator.mapping) == 2_101_248
    assert sum(map(count, generator.synthesis.convs)) == 24_110_720
    assert sum(map(count, generator.synthesis.to_rgb)) == 7_659
    assert generator.synthesis.num_ws == len(generator.synthesis.convs) == 18
    for k, conv in enumerate(generator.synthesis.convs):
        assert conv.size == (4 * 2 ** (k // 2),) * 2
    # Growth begins at 8x8, a level takes 1.2 million images, and full size is alone from 8.4 on.
    lods = {0: 7, 600: 7, 900: 6.5, 1200: 6, 1500: 6, 7800: 1, 8100: 0.5, 8400: 0, 20_000: 0}
    for kimg, lod in lods.items():
        at(model, kimg * 1000 // 32)
        assert float(model.growth.lod(model.stage, model.step)) == pytest.approx(lod, abs=1e-6)
    rates = [model.rate(2 * k) for k in range(8)]
    assert rates == [0.001] * 4 + [0.0015, 0.002, 0.003, 0.003]  # 8 to 64, 128, ..., 1024


def test_discriminator_blurs_before_it_halves():
    d = Discriminator((8, 8, 2), 0, 64, 8, minibatch_group=1)
    image = normal(2, 8, 8, 2)
    x = lrelu(d.from_rgb[1](image))
    conv, down = d.convs
    x = lrelu(tf.nn.conv2d(x, conv.kernel * conv.scale, 1, "SAME") + conv.bias)
    taps = np.tile(np.outer([1, 2, 1], [1, 2, 1])[:, :, None, None] / 16, [1, 1, 8, 1])
    x = tf.nn.depthwise_conv2d(x, tf.constant(taps, "float32"), [1, 1, 1, 1], "SAME")
    x = lrelu(halve(tf.nn.conv2d(x, down.kernel * down.scale, 1, "SAME")) + down.bias)
    x = tf.concat([x, tf.fill([2, 4, 4, 1], 1e-4)], axis=3)  # of one image each
    x = lrelu(d.conv(x))
    wanted = d.output_dense(lrelu(d.dense(tf.reshape(x, [2, -1]))))
    np.testing.assert_allclose(d(image), wanted, atol=1e-4)
    assert d(image).shape == (2, 1)


# Styles.


def test_truncation_changes_the_first_eight_layers():
    model = StyleGAN(**SMALL | {"image_shape": (64, 64, 1), "channel_base": 256})
    generator = model.generator
    generator.w_avg.assign(normal(5, seed=1))
    z, mean = normal(3, 6), generator.w_avg.numpy()
    full, ws = generator.styles(z).numpy(), generator.styles(z, truncation=0.7).numpy()
    np.testing.assert_allclose(ws[:, :8], mean + 0.7 * (full[:, :8] - mean), atol=1e-5)
    np.testing.assert_array_equal(ws[:, 8:], full[:, 8:])
    none = generator.styles(z, truncation=0.0)
    for k, x in enumerate(maps_of(generator.synthesis, none, "const")):
        assert (np.abs(x - x[:1]).max() > 1e-2) == (k >= 8)
    generator.synthesis.lod.assign(0.0)
    images = generator(z, truncation=0.0, cutoff=10).numpy()
    np.testing.assert_allclose(images, images[:1].repeat(3, 0), atol=1e-5)


def fakes_ws(model, n=2, label=None):
    """The styles of a batch of fakes."""
    seen, synthesis = [], model.generator.synthesis
    images = synthesis.images
    synthesis.images = lambda ws, *args: seen.append(ws.numpy()) or images(ws, *args)
    model.fakes(n, label)
    synthesis.images = images
    return seen[0]


def test_mixing_cuts_once_per_batch_among_the_layers_of_the_stage():
    model = small()
    model.generator.synthesis.images = lambda ws, level, fade: found.append(ws.numpy())
    for step, active in ((0, 4), (2, 6)):  # 8x8; 16x16 fades in
        at(model, step)
        cuts = []
        for draw in range(50):
            found = []
            with random.scope(0, draw):
                model.fakes(2, None)
            changes = [np.any(found[0][:, k] != found[0][:, k - 1], axis=1) for k in range(1, 6)]
            assert not any(c.any() != c.all() for c in changes)
            cuts += [k for k, changed in enumerate(changes, 1) if changed.all()]
        assert 38 < len(cuts) < 50 and set(cuts) == set(range(1, active))


def test_w_avg_follows_the_first_latents_of_both_players():
    model = at(small(style_mixing=1.0), 6)
    drawn, draw = [], model.latents
    model.latents = lambda n: drawn.append(draw(n)) or drawn[-1]
    with random.scope(0):
        model.generator_loss(None, n=4)
        model.discriminator_loss(normal(4, 16, 16, 2), None)
    assert len(drawn) == 4
    means = [np.mean(model.generator.mapping(z), axis=0) for z in (drawn[0], drawn[2])]
    wanted = 0.995 * 0.005 * means[0] + 0.005 * means[1]
    np.testing.assert_allclose(model.generator.w_avg, wanted, atol=1e-7)


def test_training_does_not_truncate():
    model = at(small(style_mixing=0), 6)
    model.generator.w_avg.assign(100.0 * tf.ones([5]))
    drawn, draw = [], model.latents
    model.latents = lambda n: drawn.append(draw(n)) or drawn[-1]
    with random.scope(0):
        ws = fakes_ws(model)
    np.testing.assert_allclose(ws[:, 0], model.generator.mapping(drawn[0]), atol=1e-6)
    assert (ws == ws[:, :1]).all() and len(drawn) == 1


# Growth.


def test_fades_and_the_served_image():
    synthesis, ws = synthesis_of(16), normal(2, 6, 5)

    def image(level, fade=None):
        return synthesis.images(ws, level, fade, noise="const").numpy()

    np.testing.assert_allclose(image(2, 1.0), double(image(1)), atol=1e-6)
    np.testing.assert_allclose(image(2, 0.25), 0.75 * image(2) + 0.25 * double(image(1)), atol=1e-6)
    for lod, wanted in ((0.0, image(2)), (0.5, image(2, 0.5)), (1.0, double(image(1)))):
        synthesis.lod.assign(lod)
        np.testing.assert_allclose(synthesis(ws, noise="const"), wanted, atol=1e-6)


def test_moves_stages_and_rates():
    """D moves before G; Adam forgets at each new stage; the rate rises with the resolution."""
    model = small(learning_rates=[1e-3, 3e-3])
    model.compile({"generator": {"learning_rate": 2e-3}}, run_eagerly=True)
    assert float(StyleGAN(**SMALL).generator.synthesis.lod.numpy()) == 1.0  # 8x8 of 16x16
    moves, averages, seen = [], [], []
    update, update_ema, train_step = model.update, model.update_ema, model.train_step

    def watched(player, *args, **count):
        moves.append(player)
        return update(player, *args, **count)

    def watched_step(data):
        logs = train_step(data)
        optimizers = model.optimizers.values()
        counts = [int(o.iterations) for o in optimizers]
        seen.append((counts, [float(o.learning_rate) for o in optimizers]))
        return logs

    model.update, model.train_step = watched, watched_step
    model.update_ema = lambda *args: averages.append(args[2]) or update_ema(*args)
    data = tf.data.Dataset.from_tensors({"image": normal(4, 16, 16, 2)}).repeat()
    logs = model.fit(data, steps_per_epoch=7, shuffle=False, verbose=0).history
    assert moves == ["discriminator", "generator"] * 7
    assert [counts for counts, _ in seen] == [[k, k] for k in (1, 2, 1, 2, 3, 4, 1)]
    np.testing.assert_allclose([rates for _, rates in seen][1], [1e-3, 2e-3])
    np.testing.assert_allclose([rates for _, rates in seen][2:], [[3e-3, 6e-3]] * 5, rtol=1e-5)
    assert averages == [0.5 ** (4 / 10_000)] * 7
    assert np.isfinite([v[-1] for v in logs.values()]).all()
    assert float(model.generator_ema.synthesis.lod.numpy()) == 0.0
    optimizer = model.default_optimizers()["discriminator"]
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.0, 0.99, 1e-8)


def rates_of(model, steps):
    """The learning rates of both players in the next steps, [steps, 2]; a step moves nothing."""
    seen = []

    def train_step(data):
        for optimizer in model.optimizers.values():
            optimizer.iterations.assign_add(1)
        seen.append([float(o.learning_rate) for o in model.optimizers.values()])
        return {"term": tf.zeros([])}

    model.train_step, model.run_eagerly = train_step, True
    data = tf.data.Dataset.from_tensors({"image": tf.zeros([4, 16, 16, 2])}).repeat()
    model.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0)
    return seen


@pytest.mark.parametrize("stable, fade", [(1, 0), (0, 2)])
def test_rates_where_stages_have_no_steps(stable, fade):
    model = small(learning_rates=[1e-3, 3e-3], stable_steps=stable, fade_steps=fade)
    model.compile()
    rates = stable * [[1e-3, 1e-3]] + (4 - stable) * [[3e-3, 3e-3]]
    np.testing.assert_allclose(rates_of(model, 4), rates, rtol=1e-5)


def test_rates_of_one_who_compiles_or_goes_on_where_a_fade_begins(tmp_path):
    """A rate given to compile() is that of the stage; a loaded one is that of the stage before."""
    model = small(learning_rates=[1e-3, 3e-3])
    model.compile({"generator": {"learning_rate": 2e-3}})
    np.testing.assert_allclose(rates_of(model, 2), 2 * [[1e-3, 2e-3]], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    later = rates_of(model, 1)
    np.testing.assert_allclose(later, [[3e-3, 6e-3]], rtol=1e-5)
    np.testing.assert_array_equal(rates_of(again, 1), later)
    again.step.assign(2)
    again.compile({"generator": {"learning_rate": 5e-3}})
    np.testing.assert_allclose(rates_of(again, 1), [[3e-3, 5e-3]], rtol=1e-5)


# Losses.


def test_losses():
    """Logistic, by numbers: scores 3 and 5 of real, 2 of fake images."""
    model = at(small(r1_gamma=10.0), 6)
    model.fakes = lambda n, label: tf.fill([2, 16, 16, 2], 2.0)
    model.discriminator = lambda image, fade=None: image[:, :1, 0, 0]
    real = tf.ones([2, 16, 16, 2]) * tf.reshape([3.0, 5.0], [2, 1, 1, 1])
    d, g = model.discriminator_loss(real, None), model.generator_loss(None, n=2)
    assert float(d["real"]) == pytest.approx(np.log1p(np.exp([-3.0, -5.0])).mean(), rel=1e-5)
    assert float(d["fake"]) == pytest.approx(np.log1p(np.exp(2.0)), rel=1e-5)
    assert float(d["r1"]) == pytest.approx(5.0)  # the gradient is 1, at one pixel
    assert float(g["fake"]) == pytest.approx(np.log1p(np.exp(-2.0)), rel=1e-5)
    assert d.keys() == {"real", "fake", "r1"} and g.keys() == {"fake"}


def test_r1_is_half_gamma_times_the_squared_norm_at_real_images_of_full_size():
    model = at(small(r1_gamma=10.0), 6)
    a = normal(16, 16, 2)
    model.discriminator = lambda image, fade=None: tf.reduce_sum(image**2 * a, [1, 2, 3])[:, None]
    real = normal(4, 16, 16, 2, seed=1)
    wanted = 5.0 * np.mean(np.sum((2 * real * a).numpy() ** 2, axis=(1, 2, 3)))
    with random.scope(0):
        found = model.discriminator_loss(real, None)["r1"]
    assert float(found) == pytest.approx(wanted, rel=1e-4)
    # A whole discriminator of full-size images, whose first operation is a mean of 2x2 pixels.
    inner = Discriminator((8, 8, 2), 0, 64, 8, minibatch_group=4)
    coarse = halve(real)
    model.discriminator = lambda image, fade=None: inner(image)
    before = float(at(model, 0).r1_penalty(coarse, None))
    model.discriminator = lambda image, fade=None: inner(halve(image))
    full = float(at(model, 6).r1_penalty(double(coarse), None))
    assert before == pytest.approx(full, rel=1e-4)


# Labels.


def test_labels_are_normalized_with_z_and_each_class_has_a_score():
    mapping = Mapping(6, 3, 5, 1)
    z, label = normal(4, 6), tf.one_hot([0, 2, 1, 0], 3)
    x = np.concatenate([z, mapping.embedding.numpy()[[0, 2, 1, 0]]], axis=1)
    x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-8)
    wanted = lrelu(mapping.dense[0](tf.constant(x)))
    np.testing.assert_allclose(mapping(z, label=label), wanted, atol=1e-5)
    wide = Mapping(6, 1000, 5, 1).embedding.numpy()
    assert wide.std() == pytest.approx(1.0, rel=0.05)  # not scaled at run time
    model = at(small(num_classes=3), 6)
    image = normal(4, 16, 16, 2)
    scores = model.discriminator(image).numpy()
    assert scores.shape == (4, 3)
    picked = scores[np.arange(4), [0, 2, 1, 0]][:, None]
    np.testing.assert_allclose(model.score(image, label), picked, atol=1e-5)
    one, other = model(tf.ones([2, 6]), label=tf.constant([0, 1]))
    assert np.abs(one - other).max() > 1e-3
    with pytest.raises(BadInput, match="No labels"):
        model(z)
    with pytest.raises(BadInput, match="from 0 to 2"):
        model.sample(1, labels=[3])


# Use.


def test_preview_has_a_table_of_mixed_styles():
    model = small()
    with random.scope(0):
        table = model.preview({"image": np.zeros([17, 16, 16, 2])})
    assert table.shape == (2 + 4, 8, 16, 16, 2)  # 16 samples, the sources, three rows
    assert np.all(table[2, 0] == 1.0)
    generator = model.generator_ema
    with random.scope(0):
        model.latents(17)
        ws = generator.styles(model.latents(10))
    sources = generator.synthesis(ws, noise="const").numpy()
    np.testing.assert_allclose(table[3:, 0], sources[:3], atol=1e-5)
    np.testing.assert_allclose(table[2, 1:], sources[3:], atol=1e-5)
    mixed = generator.synthesis(tf.concat([ws[1:2, :4], ws[5:6, 4:]], 1), noise="const")
    np.testing.assert_allclose(table[4, 3], mixed[0], atol=1e-5)


def test_wrong_settings_are_refused():
    with pytest.raises(BadInput, match="from 0 to 2 for images of 16x16 pixels, not 3"):
        small(first_level=3)
    with pytest.raises(BadInput, match="from 0 to 0 for images of 4x4 pixels, not 1"):
        small(image_shape=(4, 4, 1))
    assert small(image_shape=(4, 4, 1), first_level=0).stage_steps == ()
    assert small(image_shape=(20, 28, 1)).sample(1, seed=0).shape == (1, 20, 28, 1)


# Latent tools, which ask for the words of `StyleGenerator`.


@pytest.fixture(scope="module")
def space():
    keras.utils.set_random_seed(0)
    model = small(image_shape=(16, 16, 1))
    for conv in model.generator_ema.synthesis.convs:
        conv.noise_weight.assign(0.1 * tf.ones_like(conv.noise_weight))
    model.generator_ema.w_avg.assign(0.3 * normal(5))
    return latents.Space(model)


def test_space_mixing_and_truncation(space):
    assert space.has_styles and space.num_ws == len(space.noise_shapes) == 6
    assert space.noise_shapes == [[s, s, 1] for s in (4, 4, 8, 8, 16, 16)]
    a, b = space.of_seeds([1]).numpy(), space.of_seeds([4]).numpy()
    table = latents.mixing_table(space, [0, 1], [2, 3, 4], [0, 1, 2])
    mixed = np.concatenate([b[:, :3], a[:, 3:]], axis=1)
    np.testing.assert_allclose(table[2, 3], space.images(mixed)[0], atol=1e-5)
    table = latents.truncation_table(space, [0, 1], [0.0, 1.0])
    np.testing.assert_allclose(table[0, 0], table[1, 0], atol=1e-5)
    assert latents.walk(space, [0, 1], 2, "w").shape == (4, 6, 5)
    stored = [c.noise.numpy()[None, ..., None] for c in space.generator.synthesis.convs]
    images = space.synthesize(a, stored).numpy()
    np.testing.assert_array_equal(images, space.synthesize(a, "const"))
    for k in range(6):
        changed = [image * (1.0 - 2.0 * (j == k)) for j, image in enumerate(stored)]
        assert np.abs(space.synthesize(a, changed) - images).max() > 1e-4


def test_directions_and_edits(space):
    layers = space.generator.synthesis.convs
    weights = sefa.first_weights(space, [1, 5])
    n = normal(1, 5)
    change = [layers[k].affine(n) - layers[k].affine(0 * n) for k in (1, 5)]
    np.testing.assert_allclose(
        np.concatenate(change, 1)[0], weights @ n.numpy()[0] / 5**0.5, atol=1e-5
    )
    moves = [*find.from_weights(space, [0, 5], 1)]
    ws = edits.apply(space, moves, space.z([0]), strengths=[[2.0]]) - space.of_seeds([0])
    np.testing.assert_allclose(ws[0, 5], 2 * moves[0].vector, atol=1e-5)
    assert not np.any(ws[0, 1:5])


def test_a_search_finds_an_image_of_the_generator(space):
    target = space.images(space.of_seeds([3], truncation=0.5))
    search = latents.Projector(space, target, steps=60).run(every=60)
    assert len(search.noise) == 6 and search.history[-1][2][0] < 0.5 * search.history[0][2][0]


def test_tools_take_a_trained_model(space, tool, tmp_path):
    space.model.save(tmp_path / "small.keras")
    images.save_grid(space.images(space.of_seeds([3])), tmp_path / "image.png")
    for args in (
        ("mix", "small.keras", "--rows", 1, "--columns", 3, 4, "--layers", "coarse"),
        ("walk", "small.keras", "w", "--seeds", 0, 1, "--frames", 2),
        ("edit", "small.keras", "sefa", "--layers", "0-5", "-n", 2, "--strengths", -1, 1),
        ("project", "small.keras", "image.png", "--steps", 2, "--out", "found"),
    ):
        done = tool(tmp_path, *args)
        assert done.returncode == 0 and "Written: " in done.stdout, done.stderr
    with Image.open(tmp_path / "samples" / "small-mix-coarse.png") as table:
        assert table.size == (3 * 16, 2 * 16)
