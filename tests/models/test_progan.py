"""ProGAN: its schedule, its fades, its scaled layers, its penalty, growing through a resume."""

import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.equalized import SQRT2, EqualizedConv2D
from tfgans.models.progan import Discriminator, Generator, ProGAN, double, halve
from tfgans.optimizers import Adam

CONTRACT = {
    "games": [{}, {"num_classes": 2}],
    "replace_score": lambda image, outputs, score: tf.concat([score, outputs[:, 1:]], axis=1),
    # The second of the steps is of the second stage.
    "like_one_device": {"minibatch_group": 1, "stable_steps": 1},
}


def small(**settings):
    """From 4x4 to 16x16: stages of 2, 4, 2, 4 steps, then the last."""
    settings = {"image_shape": (16, 16, 1), "stable_steps": 2, "fade_steps": 4} | settings
    model = ProGAN(latent_dim=4, channel_base=32, channel_max=8, **settings)
    for network in (model.generator, model.discriminator, model.generator_ema):
        for i, w in enumerate(network.trainable_variables):
            if w.name == "bias":
                w.assign(keras.random.normal(w.shape, seed=i))
    return model


def at(model, step):
    """Puts a model to a step of its schedule."""
    model.step.assign(step)
    model.now = step
    return model


def repeated(images, label=None):
    data = {"image": images} if label is None else {"image": images, "label": label}
    return tf.data.Dataset.from_tensors(data).repeat()


def train(model, steps, images, **settings):
    dataset = repeated(images, **settings)
    return model.fit(dataset, steps_per_epoch=steps, shuffle=False, verbose=0).history


def state(model):
    variables = list(model.variables)
    for optimizer in model.optimizers.values():
        variables += optimizer.variables
    return [v.numpy() for v in variables]


# === Schedule ===


def test_schedule_at_1024():
    """600,000 images stable, 600,000 fading, in batches of 16: the authors' formula."""
    model = ProGAN(
        latent_dim=1, channel_base=1024, channel_max=1, stable_steps=37_500, fade_steps=37_500
    )
    lods = {0: 8, 600: 8, 900: 7.5, 1200: 7, 1500: 7, 9000: 1, 9300: 0.5, 9600: 0, 12_000: 0}
    for kimg, lod in lods.items():
        assert float(at(model, kimg * 1000 // 16).lod) == pytest.approx(lod, abs=1e-6)
    # The new resolution is active as soon as its fade begins.
    assert [at(model, 37_500 * k).level for k in range(5)] == [0, 1, 1, 2, 2]
    assert len(model.stage_steps) == 16
    model = ProGAN(latent_dim=1, channel_base=1024, channel_max=1)
    assert sum(model.stage_steps) * 16 == 16 * 800_000


def test_fade_falls_from_1_to_0():
    model = small()
    fades = [at(model, step).fade for step in range(13)]
    expected = [None] * 2 + [1, 0.75, 0.5, 0.25] + [None] * 2 + [1, 0.75, 0.5, 0.25] + [None]
    assert [f if f is None else float(f) for f in fades] == expected


# === Fades ===


def test_a_generator_that_begins_to_grow_shows_the_old_image():
    generator = small().generator
    z = tf.random.normal([3, 4])
    for level in (1, 2):
        grown = generator.images(z, None, level, fade=1.0)
        old = generator.images(z, None, level - 1)
        np.testing.assert_allclose(grown, double(old), atol=1e-6)
        new = generator.images(z, None, level)
        assert np.abs(new - grown).max() > 0.1
        halfway = generator.images(z, None, level, fade=0.5)
        np.testing.assert_allclose(halfway, (new + double(old)) / 2, atol=1e-6)


def test_a_discriminator_that_begins_to_grow_sees_the_old_image():
    keras.utils.set_random_seed(0)  # scores are near 10
    discriminator = small().discriminator
    for side in (8, 16):
        image = tf.random.normal([4, side, side, 1])
        old = discriminator(halve(image))
        np.testing.assert_allclose(discriminator(image, fade=1.0), old, rtol=1e-6, atol=1e-6)
        assert np.abs(discriminator(image) - old).max() > 0.01


def test_a_fade_that_is_over_leaves_the_old_layers_alone():
    model = small()
    z = tf.random.normal([2, 4])
    old = [model.generator.to_rgb[0], model.discriminator.from_rgb[0]]
    kernels = [layer.kernel.value for layer in old]
    for fade, moved in ((0.0, False), (0.5, True)):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernels)
            image = model.generator.images(z, None, 1, fade=fade)
            score = tf.reduce_sum(model.discriminator(image, fade=fade))
        for gradient in tape.gradient(score, kernels):
            assert np.any(gradient.numpy() != 0) == moved


def test_real_images_fade_as_the_fakes_do():
    """A checkerboard of +-1 is halved in the middle of the fade, at each resolution."""
    model = small()
    pixel = np.indices([8, 8]).sum(0) % 2 * 2.0 - 1
    board = tf.constant(np.kron(pixel, np.ones([2, 2])).reshape(1, 16, 16, 1), "float32")
    np.testing.assert_array_equal(at(model, 4).shown(board)[0, :, :, 0], pixel / 2)
    np.testing.assert_array_equal(at(model, 2).shown(board), np.zeros([1, 8, 8, 1]))
    np.testing.assert_array_equal(at(model, 6).shown(board)[0, :, :, 0], pixel)
    np.testing.assert_array_equal(at(model, 0).shown(board), np.zeros([1, 4, 4, 1]))
    np.testing.assert_array_equal(at(model, 12).shown(board), board)


def test_served_image_is_that_of_training_doubled_to_full_size():
    model = small()
    z = tf.random.normal([2, 4])
    for step in (1, 4, 7, 9, 12):
        trained = at(model, step).generator.images(z, None, model.level, model.fade)
        model.generator.lod.assign(model.lod)
        while trained.shape[1] < 16:
            trained = double(trained)
        np.testing.assert_allclose(model.generator(z), trained, atol=1e-6)


# === Layers and networks ===


def test_equalized_convolution_moves_by_the_scaled_learning_rate():
    """3x3 on 512 maps: 1e-3 as stored, 1e-3 sqrt(2) / sqrt(4608) = 2.0833e-5 in effect."""
    layer = EqualizedConv2D(512, 4, 3)
    assert layer.kernel.numpy().std() == pytest.approx(1.0, rel=0.02)
    before = layer.kernel.numpy()
    probe = tf.reshape(tf.one_hot([0, 100], 512), [2, 1, 1, 512])  # reads the middle of the kernel
    effect = layer(probe).numpy()
    with tf.GradientTape() as tape:
        loss = 1e6 * tf.reduce_sum(layer(tf.random.normal([2, 4, 4, 512])))
    optimizer = Adam(1e-3, beta_1=0.0, beta_2=0.99, epsilon=1e-8)
    optimizer.build([layer.kernel])
    optimizer.apply([tape.gradient(loss, layer.kernel.value)], [layer.kernel])
    np.testing.assert_allclose(np.abs(layer.kernel.numpy() - before), 1e-3, rtol=1e-2)
    np.testing.assert_allclose(np.abs(layer(probe) - effect), 2.0833e-5, rtol=2e-2)


@pytest.mark.parametrize("change", ["up", "down"])
def test_doubling_and_halving_convolutions_do_both_in_one(change):
    layer = EqualizedConv2D(3, 5, 3, **{change: True})
    layer.bias.assign(tf.random.normal([5]))
    x = tf.random.normal([2, 6, 8, 3])
    kernel = layer.kernel * SQRT2 / 27**0.5
    if change == "up":
        expected = tf.nn.conv2d(double(x), kernel, 1, "SAME")
    else:
        expected = halve(tf.nn.conv2d(x, kernel, 1, "SAME"))
    np.testing.assert_allclose(layer(x), expected + layer.bias, atol=1e-5)


def test_networks_of_the_paper():
    """Parameters at 1024x1024, 256x256 and 32x32, constants of the scaled weights."""
    paper = {k: p.default for k, p in inspect.signature(ProGAN.__init__).parameters.items()}
    common = {k: paper[k] for k in ("image_shape", "num_classes", "channel_base", "channel_max")}
    generator = Generator(latent_dim=paper["latent_dim"], **common)
    discriminator = Discriminator(minibatch_group=paper["minibatch_group"], **common)

    def count(layers):
        weights = [w for layer in layers for w in layer.trainable_variables]
        return sum(math.prod(w.shape) for w in weights)

    assert count([generator]) == 23_079_115 and count([discriminator]) == 23_087_249
    levels = {6: (23_044_309, 23_052_353), 3: (20_719_628, 20_726_785)}
    for level, expected in levels.items():
        finer = list(generator.convs[2 * level :])
        finer += generator.to_rgb[level + 1 :]
        assert count([generator]) - count(finer) == expected[0]
        finer = list(discriminator.convs[2 * level :])
        finer += discriminator.from_rgb[level + 1 :]
        assert count([discriminator]) - count(finer) == expected[1]
    assert [layer.kernel.shape[2] for layer in generator.to_rgb] == [512] * 4 + [
        256, 128, 64, 32, 16,
    ]  # fmt: skip
    scales = {
        generator.dense: SQRT2 / 4 / 512**0.5,
        generator.conv: SQRT2 / (9 * 512) ** 0.5,
        generator.convs[14]: SQRT2 / (9 * 32) ** 0.5,
        generator.to_rgb[8]: 1 / 16**0.5,
        discriminator.from_rgb[0]: SQRT2 / 3**0.5,
        discriminator.convs[15]: SQRT2 / (9 * 16) ** 0.5,
        discriminator.conv: SQRT2 / (9 * 513) ** 0.5,
        discriminator.dense: SQRT2 / (16 * 512) ** 0.5,
        discriminator.output_dense: 1 / 512**0.5,
    }
    for layer, scale in scales.items():
        assert layer.scale == pytest.approx(scale, rel=1e-6), layer.name
    for w in (generator.dense.kernel, generator.convs[1].kernel, discriminator.dense.kernel):
        assert w.numpy().std() == pytest.approx(1.0, rel=0.01)  # stored unscaled


def test_latents_are_normalized_and_images_are_not_bounded():
    generator = small().generator
    generator.lod.assign(0.0)
    z = tf.random.normal([3, 4])
    np.testing.assert_allclose(generator(z), generator(5 * z), atol=1e-5)
    generator.to_rgb[2].bias.assign([7.0])
    assert generator(z).numpy().mean() > 3
    for x in generator.features(z, None, 2):
        np.testing.assert_allclose(tf.reduce_mean(x**2, axis=-1), 1.0, atol=1e-3)


def test_each_group_of_the_batch_is_scored_by_itself():
    """With eight images in groups of 4, even places do not see odd places."""
    discriminator = small().discriminator
    image = tf.random.normal([8, 4, 4, 1])
    with tf.GradientTape() as tape:
        tape.watch(image)
        score = discriminator(image)[2, 0]
    seen = np.abs(tape.gradient(score, image)).max(axis=(1, 2, 3)) > 0
    np.testing.assert_array_equal(seen, [True, False] * 4)


# === Game ===


def linear(w):
    """A critic D(x) = w x."""
    return lambda image, fade=None: tf.reduce_sum(image * w, [1, 2, 3])[:, None]


def penalty(model, real, fake):
    with random.scope(0):
        return 10.0 * float(model.gradient_penalty(real, fake))


@pytest.mark.parametrize("target, expected", [(1.0, 40.0), (6.0, 2.5)])
def test_penalty_of_a_linear_critic(target, expected):
    """10 (|w| / target - 1)^2 for any data: 40 for |w| = 3 and a target of 1."""
    model = at(small(penalty_target=target), 12)
    w = np.random.randn(16, 16, 1).astype("float32")
    model.discriminator = linear(w * 3 / np.linalg.norm(w))
    assert penalty(model, *tf.random.normal([2, 4, 16, 16, 1])) == pytest.approx(expected, abs=1e-3)


def test_penalty_does_not_jump_when_the_resolution_doubles():
    model = small()
    model.discriminator.output_dense.kernel.assign_add([[3.0]] * 8)
    real, fake = tf.random.normal([2, 4, 4, 4, 1])
    before = penalty(at(model, 1), real, fake)
    assert penalty(at(model, 2), double(real), double(fake)) == pytest.approx(before, rel=1e-4)
    # As at full size: D's first operation there is a mean of 4x4 pixels.
    whole, full = at(small(), 12), [double(double(x)) for x in (real, fake)]
    whole.discriminator = lambda image, fade=None: model.discriminator(halve(image, 4))
    assert penalty(whole, *full) == pytest.approx(before, rel=1e-4)


def test_losses():
    """Scores of 3 and 5 for real, 2 for fake images: Wasserstein -2, drift 0.001 * 17 on reals.

    The gradient is 1, at one pixel: the penalty is 10 (1 / target - 1)^2 for a target of 1/2.
    """
    model = at(small(drift_weight=0.001, penalty_weight=10.0, penalty_target=0.5), 12)
    real = tf.ones([2, 16, 16, 1]) * tf.reshape([3.0, 5.0], [2, 1, 1, 1])
    model.generator.images = lambda z, label, level, fade: tf.fill([2, 16, 16, 1], 2.0)
    model.discriminator = lambda image, fade=None: image[:, :1, 0, 0]
    with random.scope(0):
        d = model.discriminator_loss(real, None)
        g = model.generator_loss(None, n=2)
    assert float(d["wasserstein"]) == pytest.approx(-2.0)
    assert float(d["drift"]) == pytest.approx(0.017)
    assert float(d["penalty"]) == pytest.approx(10.0)
    assert {name: float(value) for name, value in g.items()} == {"wasserstein": -2.0}
    optimizer = model.default_optimizers()["generator"]
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.0, 0.99, 1e-8)
    assert float(optimizer.learning_rate) == pytest.approx(0.001)


def test_moves_are_made_at_the_resolution_of_the_stage_and_adam_forgets_at_each_new_one():
    model = small(image_shape=(8, 8, 1))
    model.compile(run_eagerly=True)
    kernel = model.generator.conv.kernel
    sides, counts, kernels = [], [], [kernel.numpy()]
    discriminator_loss, train_step = model.discriminator_loss, model.train_step

    def watched_loss(real, label):
        sides.append((real.shape[1], model.fakes(2, None).shape[1]))
        return discriminator_loss(real, label)

    def watched_step(data):
        logs = train_step(data)
        counts.append([int(o.iterations) for o in model.optimizers.values()])
        kernels.append(kernel.numpy())
        return logs

    model.discriminator_loss, model.train_step = watched_loss, watched_step
    train(model, 8, tf.random.normal([4, 8, 8, 1]))
    assert sides == [(4, 4)] * 2 + [(8, 8)] * 6
    assert counts == [[k, k] for k in (1, 2, 1, 2, 3, 4, 1, 2)]
    for step, count in enumerate(counts):
        full = np.isclose(np.abs(kernels[step + 1] - kernels[step]), 1e-3, rtol=0.01)
        # Adam's first step is the learning rate for every weight; later ones know older gradients.
        assert full.mean() > 0.9 if count == [1, 1] else full.mean() < 0.5
    assert float(model.optimizers["generator"].learning_rate) == pytest.approx(1e-3)


def test_resume_in_the_middle_of_a_fade_is_exact(tmp_path):
    """Saved at fade 0.5, then through the rest of the fade and into the next stage."""
    images = tf.random.normal([4, 8, 8, 1])
    whole = small(image_shape=(8, 8, 1))
    whole.compile(seed=3, run_eagerly=True)
    train(whole, 4, images)
    whole.save(tmp_path / "model.keras")
    assert float(whole.generator_ema.lod.numpy()) == 0.75  # of the last step
    resumed = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(whole.sample(2, seed=0), resumed.sample(2, seed=0))
    assert float(at(resumed, 4).fade) == 0.5
    resumed.run_eagerly = True
    for model in (whole, resumed):
        train(model, 3, images)
    assert int(resumed.step.numpy()) == 7 and resumed.stage == 2
    for a, b in zip(state(whole), state(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_each_stage_is_one_graph_in_which_the_fade_moves():
    model = small()
    model.compile()
    traces = []

    def light_step(data):
        traces.append(model.stage)
        shown = model.shown(data["image"])
        return {"real/side": tf.constant(float(shown.shape[1])), "real/corner": shown[0, 0, 0, 0]}

    model.train_step = light_step
    pixel = np.indices([16, 16]).sum(0) % 2 * -2.0 + 1
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: seen.append(logs))
    dataset = repeated(tf.constant(pixel.reshape(1, 16, 16, 1), "float32"))
    model.fit(dataset, steps_per_epoch=13, shuffle=False, verbose=0, callbacks=[watch])
    assert traces == [0, 1, 2, 3, 4]
    assert [float(logs["real/side"]) for logs in seen] == [4] * 2 + [8] * 6 + [16] * 5
    corners = [float(logs["real/corner"]) for logs in seen]
    np.testing.assert_allclose(corners, [0] * 8 + [0, 0.25, 0.5, 0.75, 1], atol=1e-6)


def test_compiled_fade_is_the_eager_one():
    images = tf.random.normal([2, 8, 8, 1])
    logs = []
    for eager in (True, False):
        keras.utils.set_random_seed(0)
        model = at(small(image_shape=(8, 8, 1)), 4)
        model.compile(run_eagerly=eager)
        logs.append(train(model, 1, images))
    for name in logs[0]:
        np.testing.assert_allclose(*[log[name] for log in logs], rtol=1e-3, atol=1e-5)
    assert logs[1]["generator/lod"] == [0.5]


def test_half_precision_through_all_stages_keeps_the_loss_scale():
    keras.config.set_dtype_policy("mixed_float16")
    model = small(image_shape=(8, 8, 1), stable_steps=1, fade_steps=1)
    model.compile(run_eagerly=True)
    logs = train(model, 3, tf.random.normal([4, 8, 8, 1]))
    assert all(np.isfinite(values).all() for values in logs.values())
    for optimizer in model.optimizers.values():
        assert int(optimizer.iterations) <= 1  # forgotten
        assert float(optimizer.dynamic_scale) >= 2**10  # not forgotten
    assert model.sample(2, seed=0).dtype == tf.float32


def test_labels_are_learned_as_by_an_acgan():
    """An undecided D costs log 3 per image, real and fake; images depend on the label."""
    model = at(small(num_classes=3), 12)
    model.compile()
    real, label = tf.random.normal([4, 16, 16, 1]), tf.constant([0, 2, 1, 0])
    logs = {}
    model.update = lambda player, loss, *args, **count: (
        logs.update({player: loss(*args, **count)}) or {}
    )
    model.discriminator.output_dense.kernel.assign(tf.zeros([8, 4]))
    model.discriminator.output_dense.bias.assign(tf.zeros([4]))
    with random.scope(0):
        model.train_step({"image": real, "label": label})
    assert float(logs["discriminator"]["label"]) == pytest.approx(2 * math.log(3), abs=1e-5)
    assert float(logs["generator"]["label"]) == pytest.approx(math.log(3), abs=1e-5)
    model.discriminator.output_dense.bias.assign([0.0, 100.0, 0.0, 0.0])  # says class 0 always
    with random.scope(0):
        model.train_step({"image": real, "label": label})
    assert float(logs["generator"]["label"]) == pytest.approx(50.0, abs=1e-3)  # half are wrong
    z = tf.ones([2, 4])
    one, other = model(z, label=tf.constant([0, 1]))
    assert np.abs(one - other).max() > 1e-3
    assert model.sample(4, seed=0).shape == (4, 16, 16, 1)
    with pytest.raises(BadInput, match="No labels"):
        model(z)
    with pytest.raises(BadInput, match="from 0 to 2"):
        model.sample(1, labels=[3])


def test_images_and_batches_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="nearest size is 256x256"):
        ProGAN(image_shape=(250, 250, 3), channel_max=2)
    wide = ProGAN(image_shape=(28, 40, 1), latent_dim=4, channel_max=2)
    assert wide.generator.grid == (7, 10, 2)
    assert wide.sample(1, seed=0).shape == (1, 28, 40, 1)
    assert wide.discriminator(tf.zeros([1, 14, 20, 1]), fade=0.5).shape == (1, 1)
    model = small()
    model.compile()
    with pytest.raises(BadInput, match="groups of 4"), random.scope(0):
        model.train_step({"image": tf.zeros([6, 16, 16, 1])})
