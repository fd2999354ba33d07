"""SinGAN: the pyramid, its receptive field, the order of training, and what it is good for."""

import math
import pathlib
import runpy
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from differences import assert_derivative
from PIL import Image
from tiny import without_numbers

from tfgans import images, random
from tfgans.config import Config
from tfgans.data.single import draw_landscape
from tfgans.errors import BadInput
from tfgans.models.singan import SinGAN, pyramid, resize, resize_matrix


def small(**settings):
    defaults = {"image_shape": (16, 20, 3), "min_size": 12, "width": 4, "scale_steps": 2}
    return SinGAN(**defaults | settings)


def landscape(height=16, width=20):
    return tf.constant(draw_landscape(height, width)[None] / 127.5 - 1, "float32")


def train(model, image, steps):
    dataset = tf.data.Dataset.from_tensors({"image": image}).repeat()
    return model.fit(dataset, steps_per_epoch=steps, verbose=0).history


# The pyramid.


def test_scales_of_the_paper():
    sides = [25, 31, 37, 44, 54, 64]
    assert pyramid((64, 64, 3), 25, 250, 0.75)[0] == [(side, side) for side in sides]
    shapes, ratio = pyramid((250, 250, 3), 25, 250, 0.75)
    assert len(shapes) == 11 and shapes[-1] == (250, 250)
    assert ratio == pytest.approx(0.7943, abs=5e-5)
    # A larger image has ceil(10.41) + 1 - ceil(4.82) = 7 steps from 25 to 125.
    shapes, ratio = pyramid((500, 1000, 3), 25, 250, 0.75)
    assert len(shapes) == 8 and shapes[0] == (25, 50) and shapes[-1] == (125, 250)
    assert ratio == pytest.approx(0.2 ** (1 / 7))
    # To enlarge, the authors' code rounds down: log(18 / 250) / log 2^(-1/3) = 11.39.
    shapes, ratio = pyramid((250, 250, 3), 18, 250, 0.5 ** (1 / 3), fewer_scales=True)
    assert len(shapes) == 13 and ratio == pytest.approx(0.8031, abs=5e-5)
    with without_numbers():
        enlarging = SinGAN(**Config.load("singan-enlarge").model)
    assert len(enlarging.shapes) == 13 and enlarging.ratio == pytest.approx(ratio, rel=1e-6)
    assert Config.load("singan-enlarge").train.steps == 13 * 2000
    for shape in ((25, 250, 3), (200, 4000, 3)):
        with pytest.raises(BadInput, match="min_size = 25.*crop"):
            pyramid(shape, 25, 250, 0.75)


def test_weights_of_the_paper():
    """Trainable weights: 3 to 32, 32 to 32 three times, 32 to 3 or 1, and the normalizations."""
    model = SinGAN()
    widths = [32] * 4 + [64] * 4 + [128] * 3
    for k, width in enumerate(widths):
        for network, outputs in (
            (model.generator.networks[k], 3), (model.discriminators[k], 1),
        ):  # fmt: skip
            count = sum(math.prod(w.shape) for w in network.trainable_variables)
            body = 27 * width + width + 3 * (9 * width**2 + width) + 4 * 2 * width
            assert count == body + 9 * width * outputs + outputs
            if width == 32:
                assert count == {3: 29_763, 1: 29_185}[outputs]
    kernel = model.generator.networks[0].trainable_variables[4].numpy()
    assert kernel.shape == (3, 3, 32, 32) and kernel.std() == pytest.approx(0.02, rel=0.05)
    assert not model.generator.networks[0].trainable_variables[1].numpy().any()


def without_norm(layer):
    """Statistics of the whole image reach everywhere."""
    is_norm = isinstance(layer, keras.layers.GroupNormalization)
    return keras.layers.Identity() if is_norm else type(layer).from_config(layer.get_config())


@pytest.mark.parametrize("kind", ["generator", "discriminator"])
def test_receptive_field_is_11_at_every_scale(kind):
    model = small(width=8)
    for k in range(len(model.shapes)):
        network = (model.generator.networks if kind == "generator" else model.discriminators)[k]
        network = keras.models.clone_model(network, clone_function=without_norm)
        image = tf.random.normal([1, 21, 21, 3])
        with tf.GradientTape() as tape:
            tape.watch(image)
            output = network(image)
            center = tf.reduce_sum(output[0, 5, 5])
        assert output.shape[1:3] == (11, 11)
        seen = np.abs(tape.gradient(center, image).numpy()).sum(axis=(0, 3)) > 0
        expected = np.zeros([21, 21], bool)
        expected[5:16, 5:16] = True
        np.testing.assert_array_equal(seen, expected)


def test_resizing():
    """Cubic, so exact for lines inside; of whole ratios and one that reaches over the border."""
    x = np.arange(20.0)
    for size, scale in ((40, 2.0), (10, 0.5), (27, 1 / 0.76)):
        matrix = resize_matrix(20, size, scale)
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-6)
        expected = (np.arange(size) + 0.5) / scale - 0.5
        inside = (expected > 4) & (expected < 15)
        np.testing.assert_allclose((matrix @ x)[inside], expected[inside], atol=1e-4)
    np.testing.assert_array_equal(resize_matrix(7, 7, 1.0), np.eye(7))
    np.testing.assert_allclose(
        resize_matrix(4, 8, 2.0)[3], np.array([-9, 111, 29, -3]) / 128, atol=1e-6
    )
    checkers = tf.constant(np.indices([32, 32]).sum(0)[None, ..., None] % 2, "float32")
    shrunk = resize(checkers, (8, 8), 0.25)  # without a wider kernel: stripes
    np.testing.assert_allclose(shrunk, 0.5, atol=0.02)
    image = landscape()
    once = resize(image, (16, 31))
    np.testing.assert_allclose(once[:, :, ::-1], resize(image[:, :, ::-1], (16, 31)), atol=1e-5)


# One scale.


def test_generator_adds_detail_to_the_upsampled_picture():
    """With a last convolution of zeros nothing is added."""
    model = small()
    model.generator.amplitudes.assign(tf.ones_like(model.generator.amplitudes))
    k = len(model.shapes) - 1
    last = model.generator.networks[k].layers[-1]
    last.kernel.assign(tf.zeros_like(last.kernel))
    coarse = tf.random.normal([2, *model.shapes[k], 3])
    with random.scope(0):
        [z] = model.noise(2, model.shapes[k:], k)
    np.testing.assert_array_equal(model.generator.refine(k, z, coarse), coarse)
    last.bias.assign([1.0, 0.0, -2.0])
    added = model.generator.refine(k, z, coarse) - coarse
    np.testing.assert_allclose(added[1, 3, 3], np.tanh([1.0, 0.0, -2.0]), atol=1e-6)


@pytest.mark.parametrize("padding, inside", [(False, 0.0), (True, 1.0)])
def test_what_the_network_sees(padding, inside):
    """sigma z + x with x in zeros, and z in zeros or in more noise."""
    model = small(noise_padding=padding)
    k = 1
    model.generator.amplitudes.assign([1.0] + [0.5] * (len(model.shapes) - 1))
    seen = []
    model.generator.networks[k] = lambda x: seen.append(x) or 0.0
    [shape] = model.generator.noise_shapes(model.shapes[k : k + 1], k)
    height, width = model.shapes[k]
    model.generator.refine(k, tf.ones([1, *shape]), tf.fill([1, height, width, 3], 0.25))
    expected = np.full([1, height + 10, width + 10, 3], 0.5 * inside)
    expected[:, 5:-5, 5:-5] = 0.75
    np.testing.assert_allclose(seen[0], expected)


def test_each_scale_has_a_sigma_of_its_own():
    model, seen = small(), []
    count = len(model.shapes)
    sigmas = np.array([1.0, *np.linspace(0.5, 0.1, count - 1)], "float32")
    model.generator.amplitudes.assign(sigmas)
    model.generator.networks = [lambda x: seen.append(x) or 0.0] * count
    model.generator.run(
        [tf.ones([1, *shape]) for shape in model.generator.noise_shapes(model.shapes)]
    )
    assert count > 2  # the picture begins and stays gray: inside of the zeros stands sigma
    np.testing.assert_allclose([x[0, 7, 7, 0] for x in seen], sigmas, rtol=1e-6)


def test_coarsest_noise_has_one_channel_and_latents_are_all_maps():
    model = small()
    maps = model.generator.split(tf.zeros([2, model.latent_dim]))
    assert [tuple(z.shape) for z in maps] == [
        (2, height, width, 1 if k == 0 else 3) for k, (height, width) in enumerate(model.shapes)
    ]
    with random.scope(3):
        z = model.latents(2)
    np.testing.assert_allclose(model(z), model.sample(2, seed=3), atol=1e-6)


# The losses.


def test_penalty_is_a_mean_over_pixels():
    """D = sum of w x over channels, |w| differs by pixel: mean of (|w| - 1)^2."""
    model = small()
    w = np.random.RandomState(0).randn(6, 7, 3).astype("float32")
    images = tf.random.normal([2, 4, 6, 7, 3])
    with random.scope(0):
        found = model.gradient_penalty(lambda x: x * w, *images)
    expected = np.mean((np.linalg.norm(w, axis=-1) - 1) ** 2)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_penalty_trains_the_critic():
    """Its gradient is a second derivative, also through the normalization."""
    model = small()
    critic = model.discriminators[0]
    for layer in critic.layers:
        if isinstance(layer, keras.layers.LeakyReLU):
            layer.negative_slope = 1.0  # at its kink the penalty jumps
    real, fake = landscape(), tf.random.normal([1, 16, 20, 3])
    kernel = critic.trainable_variables[4]

    def value():
        with random.scope(0):
            return model.gradient_penalty(critic, real, fake)

    assert_derivative(value, kernel, 1e-3)


def test_losses_of_known_scores():
    model = small()
    real = landscape(*model.shapes[0])
    model.fake = lambda n, k: tf.zeros([n, *model.shapes[0], 3])
    model.discriminators = [lambda x: 2.0 * tf.reduce_sum(x, 3, keepdims=True) + 1.0]
    with random.scope(0):
        d = model.discriminator_loss(0, real)
        coarse = model.generator.coarse(None, model.generator.split(model.fixed_latents())[0])
        g = model.generator_loss(0, real, coarse)
    assert float(d["wasserstein"]) == pytest.approx(-6.0 * float(tf.reduce_mean(real)), rel=1e-4)
    assert float(d["penalty"]) == pytest.approx(0.1 * (12**0.5 - 1) ** 2, rel=1e-4)
    assert float(g["wasserstein"]) == pytest.approx(-1.0)
    again = model.generator.refine(0, model.generator.fixed_noise[None], coarse)
    error = float(tf.reduce_mean(tf.square(again - real)))
    assert float(g["reconstruction"]) == pytest.approx(10.0 * error, rel=0.05)


# The game.


def test_three_moves_of_each_and_only_of_the_current_scale():
    model = small(scale_steps=1)
    model.compile(run_eagerly=True)
    moves, update = [], model.update
    model.update = lambda player, *args: moves.append(player) or update(player, *args)
    scales = len(model.shapes)
    before = [[w.numpy() for w in n.weights] for n in model.generator.networks]
    train(model, landscape(), 1)
    after = [[w.numpy() for w in n.weights] for n in model.generator.networks]
    for k in range(1, scales):
        for a, b in zip(before[k], after[k], strict=True):
            np.testing.assert_array_equal(a, b)
    train(model, landscape(), scales - 1)
    assert moves == [
        f"{network}_{k}" for k in range(scales) for network in ["discriminator"] * 3
        + ["generator"] * 3
    ]  # fmt: skip
    # A finished scale rests.
    for a, w in zip(after[0], model.generator.networks[0].weights, strict=True):
        np.testing.assert_array_equal(a, w.numpy())


def test_a_scale_begins_where_the_one_before_ended():
    model = small(image_shape=(40, 44, 3))
    assert len(model.shapes) > 5
    model.compile()
    model.image.assign(landscape(40, 44))
    for stage in (1, 4):  # the width doubles at 4
        networks = model.generator.networks
        for w in networks[stage - 1].weights:
            w.assign(w + 0.01)
        drawn = networks[stage].get_weights()
        model.stage_begins(stage)
        source = drawn if stage == 4 else networks[0].get_weights()
        for a, b in zip(networks[stage].get_weights(), source, strict=True):
            np.testing.assert_array_equal(a, b)
        coarse = resize(model.reconstruction(stage - 1), model.shapes[stage], 1 / model.ratio)
        rmse = np.sqrt(np.mean((model.real(stage) - coarse) ** 2))
        amplitudes = model.generator.amplitudes.numpy()
        assert amplitudes[stage] == pytest.approx(0.1 * rmse, rel=1e-4)
    assert amplitudes[0] == 1.0 and not amplitudes[[2, 3, 5]].any()


def test_learning_rate_falls_at_step_1600_of_each_scale():
    optimizer = small(image_shape=(40, 44, 3), scale_steps=2000).default_optimizers()["generator_3"]
    rates = [float(optimizer._learning_rate(update)) for update in (0, 4799, 4800, 5999)]
    np.testing.assert_allclose(rates, [5e-4, 5e-4, 5e-5, 5e-5])
    assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)


@pytest.fixture(scope="module")
def learned():
    """200 steps at the coarsest scale on an image of 32x32 pixels: a soft disk on a gradient."""
    keras.utils.set_random_seed(0)
    model = SinGAN((32, 32, 3), min_size=25, scale_factor=0.5, scale_steps=200)
    model.compile()
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    disk = 1 / (1 + np.exp(12 * (np.hypot(x - 0.2, y) - 0.5)))
    image = tf.constant(0.7 * np.stack([disk - 0.3, 0.6 * y, 0.5 - disk], -1)[None], "float32")
    train(model, image, 200)
    return model


@pytest.mark.slow
def test_reconstruction(learned):
    model = learned
    assert float(tf.sqrt(tf.reduce_mean((model.reconstruction(0) - model.real(0)) ** 2))) < 0.1
    np.testing.assert_array_equal(model.reconstruction(0), model.reconstruction(0))
    with random.scope(0):
        noise = model.generator.run(model.noise(4, model.shapes[:1]))
    assert np.abs(noise - model.reconstruction(0)).mean() > 0.1
    assert np.abs(noise[0] - noise[1]).mean() > 0.1


# The uses of a trained pyramid.


def prepared(**settings):
    """Untrained, but with noise at all scales and an image to start from."""
    model = small(**settings)
    model.image.assign(landscape())
    model.generator.amplitudes.assign([1.0] + [0.2] * (len(model.shapes) - 1))
    return model


def test_samples_of_any_size():
    model = prepared()
    assert model.sample(2, seed=0, stretch=(1, 2.5)).shape == (2, 16, 50, 3)
    assert model.sample(1, seed=0, first=2, stretch=(2, 1)).shape == (1, 32, 20, 3)
    last = len(model.shapes) - 1
    near, far = (np.abs(model.sample(1, seed=1, first=k) - model.image).mean() for k in (last, 0))
    assert near < 0.5 * far
    rows, _ = model.shapes[0]
    assert model.sample(1, seed=0, stretch=(0.6 / rows, 1)).shape == (1, 1, 20, 3)
    for stretch in ((0.01, 1), (1, 0.0), (-1, 1)):
        with pytest.raises(BadInput, match="leaves no pixel of the coarsest scale"):
            model.sample(1, stretch=stretch)


def test_injection_begins_with_the_blurred_picture():
    model = prepared()
    for network in model.generator.networks:
        last = network.layers[-1]
        last.kernel.assign(tf.zeros_like(last.kernel))  # nothing is added
    painting = tf.random.uniform([2, 16, 20, 3], -1, 1)
    expected = resize(model.real(0, painting), model.shapes[1], 1 / model.ratio)
    for shape in model.shapes[2:]:
        expected = resize(expected, shape, 1 / model.ratio)
    np.testing.assert_allclose(model.inject(painting, 1, seed=0), expected, atol=1e-5)
    for first in (0, len(model.shapes)):
        with pytest.raises(BadInput, match="injected at scales 1 to"):
            model.inject(painting, first)
    for other in (painting[:, :8], tf.zeros([2, 32, 40, 3]), painting[0], painting[..., :1]):
        with pytest.raises(BadInput, match=r"finest scale: \['N', 16, 20, 3\], not \["):
            model.inject(other)


def test_blending_leaves_what_is_far_from_the_mask():
    model = SinGAN((64, 96, 3), width=4)
    model.image.assign(landscape(64, 96))
    composite = model.image.numpy().copy()
    composite[:, 8:12, 8:12] = 1.0
    mask = np.zeros([64, 96], bool)
    mask[8:12, 8:12] = True
    harmonized, edited = (
        model.blend(composite, mask, len(model.shapes) - 1, radius, seed=0) for radius in (7, 20)
    )
    change = [np.abs(x - model.image).max(axis=(0, 3)) for x in (harmonized, edited)]
    assert change[0][:, 45:].max() == 0 and change[1][:, 60:].max() == 0
    repainted = model.inject(composite, len(model.shapes) - 1, seed=0)
    np.testing.assert_allclose(edited[:, 9:11, 9:11], repainted[:, 9:11, 9:11], atol=1e-3)
    assert (change[1] > 0).sum() > (change[0] > 0).sum()
    for size in (mask[:60], mask[..., None]):
        with pytest.raises(BadInput, match=r"The mask has the size of the picture, \[64, 96\]"):
            model.blend(composite, size)
    with pytest.raises(BadInput, match="finest scale"):
        model.blend(composite[:, :32], mask)


def test_a_mask_that_grows_over_the_whole_picture_repaints_all():
    model = prepared()
    painting = tf.random.uniform([1, 16, 20, 3], -1, 1)
    mask = np.zeros([16, 20], bool)
    np.testing.assert_array_equal(model.blend(painting, mask, 1, seed=0), model.image)
    mask[4:12, 4:16] = True
    repainted = model.inject(painting, 1, seed=0)
    found = model.blend(painting, mask, 1, radius=20, seed=0)
    np.testing.assert_allclose(found, repainted, atol=1e-6)
    assert np.abs(found - model.image).mean() > 0.1


def test_super_resolution_takes_six_small_steps_to_4():
    model = prepared()
    shapes, refine = [], model.generator.refine
    model.generator.refine = lambda k, z, x: shapes.append((k, x.shape[1])) or refine(k, z, x)
    assert model.super_resolve(4, seed=0).shape == (1, 64, 80, 3)
    last = len(model.shapes) - 1
    assert shapes == [(last, height) for height in (21, 27, 35, 45, 57, 72)]
    for factor in (1, 0.5, -2):
        with pytest.raises(BadInput, match=f"above 1, such as 4, not {factor}"):
            model.super_resolve(factor)


def test_animation_walks_around_the_image():
    model = prepared()
    seen = []
    call = model.generator.call
    model.generator.call = lambda z: seen.append(z.numpy()) or call(z)
    film = model.animate(frames=30, first=1, beta=0.8, seed=0)
    assert film.shape == (30, 16, 20, 3)
    z, rest = np.concatenate(seen), model.fixed_latents().numpy()
    coarsest = math.prod(model.shapes[0])
    np.testing.assert_array_equal(z[:, :coarsest], np.repeat(rest[:, :coarsest], 30, axis=0))
    free = z[:, coarsest:]
    # z' = 0.9 (z + 0.8 (z - z'') + 0.2 u): what is left over is white and has this size.
    u = free[2:] - 0.9 * (free[1:-1] + 0.8 * (free[1:-1] - free[:-2]))
    assert u.std() == pytest.approx(0.18, rel=0.02) and not rest[:, coarsest:].any()
    count = len(model.shapes)
    del seen[:]
    assert np.ptp(model.animate(2, first=-1, seed=0), axis=0).max() > 0
    still = model.latent_dim - math.prod(model.shapes[-1]) * 3  # -1 is the finest: it moves
    first, second = np.concatenate(seen)
    np.testing.assert_array_equal(first[:still], second[:still])
    for first in (count, 9, -count):
        with pytest.raises(BadInput, match=f"move from scales 1 to {count - 1} .*, not {first}"):
            model.animate(2, first=first)
    with pytest.raises(BadInput, match="at least 1, not 0"):
        model.animate(0)


def test_tool(tmp_path, monkeypatch, capsys):
    prepared().save(tmp_path / "m.keras")
    images.save_grid(tf.random.uniform([1, 8, 10, 3], -1, 1), tmp_path / "a.png")
    tool = pathlib.Path(__file__).parent.parent.parent / "tools" / "use.py"
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["use.py", "m.keras", *words])
        runpy.run_path(str(tool), run_name="__main__")
        return capsys.readouterr().out.split()[-1]

    for words, size in (
        (["sample", "n=1", "stretch=1,2"], (40, 16)),
        (["super_resolve", "factor=2"], (40, 32)),
        (["inject", "image=a.png"], (20, 16)),
        (["blend", "composite=a.png", "mask=a.png"], (20, 16)),
        (["blend", "composite=a.png", "mask=a.png", "first=-1", "radius=20"], (20, 16)),
    ):
        with Image.open(run(*words)) as picture:
            assert picture.size == size
    assert pathlib.Path(run("animate", "frames=3")).stat().st_size > 0
    for words, message in (
        (["inject"], "inject needs image=FILE"),
        (["sample", "first=9"], "scales 1 to"),
        (["inject", "image=a.png", "first=0"], "scales 1 to"),
        (["sample", "stretch=wide"], "stretch is numbers"),
        (["shrink"], "No use of SinGAN named 'shrink'"),
    ):
        with pytest.raises(SystemExit, match=message):
            run(*words)


def test_a_scale_that_can_be_quantized():
    with without_numbers():
        last = len(small().shapes) - 1
        assert small(quantize_scale=-1).quantize_scale == last
        for number in (0, last + 1, -last - 1, 99):
            with pytest.raises(BadInput, match=f"quantized at scales 1 to {last} .*, not {number}"):
                small(quantize_scale=number)


def test_quantized_scale_sees_five_colors():
    model = small(quantize_scale=1)
    model.image.assign(landscape())
    model.compile()
    model.stage_begins(1)
    seen = []
    model.generator.networks[1] = lambda x: seen.append(x.numpy()) or 0.0
    out = model.generator.refine(1, tf.zeros([1, *model.shapes[1], 3]), model.real(1)).numpy()
    colors = np.unique(out.reshape(-1, 3), axis=0)
    assert len(colors) == 5
    np.testing.assert_allclose(seen[0][:, 5:-5, 5:-5], out, atol=1e-6)
    # Nearest colors: no other assignment is closer, and they are the centers of their pixels.
    pixels, chosen = model.real(1).numpy().reshape(-1, 3), out.reshape(-1, 3)
    distances = np.linalg.norm(pixels[:, None] - colors, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(pixels - chosen, axis=1), distances.min(1), atol=1e-6)
    for color in colors:
        mine = (chosen == color).all(axis=1)
        np.testing.assert_allclose(pixels[mine].mean(axis=0), color, atol=0.1)


def test_two_replicas_go_through_all_scales(two_replicas):
    with two_replicas.scope():
        model = small(scale_factor=0.5, scale_steps=1, network_steps=1)
        model.compile(run_eagerly=True)
        dataset = tf.data.Dataset.from_tensors({"image": tf.repeat(landscape(), 2, axis=0)})
        dataset = two_replicas.experimental_distribute_dataset(dataset.repeat())
        model.fit(dataset, steps_per_epoch=2, verbose=0)
    for weight in [model.generator.amplitudes, *model.generator.networks[1].trainable_variables]:
        first, second = (v.numpy() for v in weight.value.values)
        np.testing.assert_array_equal(first, second)
    assert model.generator.amplitudes.numpy()[1] > 0
