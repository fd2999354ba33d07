"""pix2pixHD: networks by their counts, stages, edges of objects, feature matching, styles."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import keras_settings, random
from tfgans.errors import BadInput
from tfgans.models.pix2pixhd import (
    VGG_WEIGHTS,
    Pix2PixHD,
    Styles,
    build_enhancer,
    build_generator,
    feature_matching,
    judged,
)
from tfgans.ops.resample import mean_pool


def is_white(rows, colors):
    return tf.reduce_all(rows[..., -3:] > 0.9, axis=[1, 2, 3])  # the image, after the semantics


CONTRACT = {
    "is_real": is_white,
    "served": ["generator", "local", "encoder", "styles"],
    # Styles to choose from are served, those that training has seen are not.
    "prepared": {Styles: lambda layer: -math.prod(layer.memory.shape) - layer.classes},
}


def small(**settings):
    sizes = {"image_shape": (32, 32, 3), "num_labels": 4, "width": 4, "blocks": 1, "downs": 1}
    sizes |= {"enhancer_blocks": 1, "scales": 1, "halvings": 1, "perceptual_weight": 0.0}
    model = Pix2PixHD(**sizes | settings)
    model.compile()
    return model


def places(n=2, side=32, seed=0):
    """Label maps with a square of each class, their numbers, and images."""
    keys = np.random.RandomState(seed)
    labels = np.zeros([n, side, side], "int32")
    labels[:, : side // 2, : side // 2] = 1
    labels[:, side // 2 :, side // 2 :] = 1  # two objects of one class
    labels[:, : side // 2, side // 2 :] = 2
    objects = np.copy(labels)
    objects[:, side // 2 :, side // 2 :] = 7
    image = keys.uniform(-1, 1, [n, side, side, 3]).astype("float32")
    return [tf.constant(x) for x in (labels, objects, image)]


def test_networks_of_the_paper():
    """182,546,755 numbers; with the enhancer 182,857,059; 2,801,601 for each discriminator."""
    with without_numbers():
        model = Pix2PixHD()
    assert trainable(model.generator) == 182_546_755
    last = trainable(model.generator) - 64 * 3 * 49 - 3  # the enhancer takes what comes before
    assert last + trainable(model.local) == 182_857_059
    assert [trainable(d) for d in model.discriminators] == 3 * [2_801_601]
    assert model.stage_shape(0) == (512, 1024, 3) and model.stage_shape(1) == (1024, 2048, 3)
    maps = model.discriminators[0].compute_output_shape((None, 512, 1024, 39))["score"]
    assert maps == (None, 67, 131, 1)  # padded by 2: larger than with a padding of 1


def test_edges_of_objects():
    """Both pixels of a pair are marked: columns 1 and 2 of two halves, 8 ones."""
    model = small()
    halves = tf.constant([[[1, 1, 2, 2]] * 4], "int32")
    seen = model.semantics(tf.zeros_like(halves), halves)
    np.testing.assert_array_equal(seen[0, :, :, 4], [[0, 1, 1, 0]] * 4)
    np.testing.assert_array_equal(
        model.semantics(tf.zeros_like(halves), tf.transpose(halves, [0, 2, 1]))[0, :, :, 4],
        np.transpose([[0, 1, 1, 0]] * 4),
    )
    assert small(instances=False).semantics(halves, None).shape == (1, 4, 4, 4)


def test_uniform_maps_of_two_classes_give_one_image():
    """Reflection and instance norm wash a constant out; SPADE was made against it.

    Each norm enlarges rounding about a hundred times, so this is float64 and few layers.
    """
    with keras_settings.policy("float64"):
        generator = build_generator((32, 32, 5), 3, width=8, blocks=1, downs=1)
    images = [
        generator(tf.one_hot(tf.fill([1, 32, 32], label), 5, dtype="float64"))["image"]
        for label in (0, 2)
    ]
    np.testing.assert_allclose(*images, atol=1e-3)


def test_the_enhancer_washes_uniform_maps_out_too():
    with keras_settings.policy("float64"):
        enhancer = build_enhancer((32, 32, 5), 3, width=8, blocks=1)
    images = [
        enhancer(
            [tf.one_hot(tf.fill([1, 32, 32], k), 5, dtype="float64"), tf.zeros([1, 16, 16, 8])]
        )
        for k in (0, 2)
    ]
    np.testing.assert_allclose(*images, atol=1e-3)


def test_the_full_size_is_drawn_from_features_of_the_averaged_map():
    """The generator sees means of 3x3 pixels; the enhancer takes its features, no image."""
    model, given = small(), []
    labels, objects, _ = places()
    seen = model.semantics(labels, objects)
    features = tf.random.stateless_normal([2, 16, 16, 4], (0, 1))
    model.generator = lambda x, training: given.append(x) or {"features": features}
    model.local = lambda x, training: given.extend(x) or "image"
    model.now = sum(model.stage_steps)
    assert model.draw(seen) == "image"
    np.testing.assert_allclose(given[0], mean_pool(seen), atol=1e-6)
    np.testing.assert_array_equal(given[1], seen)
    np.testing.assert_array_equal(given[2], features)


def test_means_of_3x3_pixels_count_no_padding():
    x = np.random.RandomState(0).normal(size=[2, 6, 4, 3]).astype("float32")
    wanted = np.empty([2, 3, 2, 3])
    for i in range(3):
        for j in range(2):
            part = x[:, max(2 * i - 1, 0) : 2 * i + 2, max(2 * j - 1, 0) : 2 * j + 2]
            wanted[:, i, j] = part.mean(axis=(1, 2))
    np.testing.assert_allclose(mean_pool(x), wanted, atol=1e-6)


def fixed(score, features):
    """A discriminator that answers numbers: real (white) images have features 0."""

    def network(x, training):
        fake = tf.cast(x[..., -1:] < 0.9, "float32")
        stages = {f"stage_{k}": features * fake for k in range(1, 5)}
        return {"score": tf.fill([2, 3, 3, 1], score)} | stages

    return network


@pytest.mark.parametrize("scales", [1, 3])
def test_losses_are_sums_over_scales_and_means_of_features(scales):
    """D: m (0.5 (s-1)^2 + 0.5 s^2); G: m (s-1)^2 + 10 * 4 stages * 4 / (n + 1)."""
    model = small(scales=scales, enhancer=False, halvings=3)
    model.discriminators = [fixed(0.25, 0.5)] * scales
    labels, objects, _ = places()
    found, _ = model.losses(labels, objects, tf.ones([2, 32, 32, 3]))
    d, g = found["discriminators"], found["generator"]
    assert float(d["real"]) == pytest.approx(scales * 0.5 * 0.75**2)
    assert float(d["fake"]) == pytest.approx(scales * 0.5 * 0.25**2)
    assert float(g["fake"]) == pytest.approx(scales * 0.75**2)
    assert float(g["features"]) == pytest.approx(10 * 4 * 0.5, rel=1e-3)


def test_the_distance_in_vgg():
    model = small(perceptual_weight=7.0, enhancer=False)
    model.look = lambda x: [tf.reduce_mean(x, axis=-1)] * 5
    model.draw = lambda seen, training: tf.fill([2, 32, 32, 3], 0.1)
    labels, objects, _ = places()
    found, _ = model.losses(labels, objects, tf.zeros([2, 32, 32, 3]))
    assert float(found["generator"]["perceptual"]) == pytest.approx(7.0 * sum(VGG_WEIGHTS) * 0.1)


def test_feature_matching_pulls_fakes_alone():
    fake, real = tf.Variable(tf.zeros([2, 3])), tf.Variable(tf.ones([2, 3]))
    with tf.GradientTape() as tape:
        loss = feature_matching(
            {"score": 9.0 * fake, "stage_1": fake}, {"score": real, "stage_1": real}
        )
    assert float(loss) == 1.0  # the score is no feature
    to_fake, to_real = tape.gradient(loss, [fake, real])
    np.testing.assert_allclose(to_fake, np.full([2, 3], -1 / 6), atol=1e-7)
    assert to_real is None


def test_each_scale_sees_half_of_the_one_before():
    seen = []

    def watch(x, training):
        seen.append(x)

    labels, objects, image = places()
    model = small()
    judged([watch] * 3, model.semantics(labels, objects), image)
    assert [x.shape[1:] for x in seen] == [(32, 32, 8), (16, 16, 8), (8, 8, 8)]
    np.testing.assert_allclose(seen[1], mean_pool(seen[0]), atol=1e-6)


def numbers(network):
    return np.concatenate([np.ravel(w) for w in network.trainable_weights])


def test_stages_move_what_they_should():
    """The enhancer alone in stage 1, with the generator in stage 2; styles are learned in 0."""
    model = small(style_channels=3, global_steps=1, enhancer_steps=1, joint_steps=8)
    nets = {"generator": model.generator, "local": model.local, "encoder": model.encoder}
    nets |= {f"d{k}": d for k, d in enumerate(model.discriminators)}
    wanted = [{"generator", "encoder", "d1"}, {"local", "d0", "d1"}]
    wanted.append({"generator", "local", "d0", "d1"})
    labels, objects, image = places()
    for stage, movers in enumerate(wanted):
        step = slice(None, None, 2 if stage == 0 else 1)
        batch = {"map": labels[:, step, step], "instances": objects[:, step, step]}
        batch["target"] = image[:, step, step]
        before = {name: numbers(net) for name, net in nets.items()}
        model.now = stage
        with random.scope(0, stage):
            logs = model.train_step(batch)
        player = ("generator", "enhancer", "joint")[stage]
        assert {name.split("/")[0] for name in logs} == {"discriminators", player}
        assert {n for n, net in nets.items() if (before[n] != numbers(net)).any()} == movers


def test_rates_fall_in_the_second_half_of_each_training():
    """Steps of Cityscapes: 100 + 100 passes, then 50 + 50 of which 10 are the enhancer's."""
    with without_numbers():
        model = Pix2PixHD()
    optimizers = model.default_optimizers()
    rates = {name: o._learning_rate for name, o in optimizers.items()}
    epoch = 2975

    def at(player, passes):
        rate = rates[player]
        return float(rate(passes * epoch)) if callable(rate) else float(rate)

    assert at("generator", 99) == pytest.approx(2e-4)
    assert at("generator", 150) == pytest.approx(1e-4)
    assert at("enhancer", 9) == pytest.approx(2e-4)
    assert at("joint", 39) == pytest.approx(2e-4)
    assert at("joint", 65) == pytest.approx(1e-4)
    assert at("discriminators", 150) == pytest.approx(1e-4)
    assert at("discriminators", 201) == pytest.approx(2e-4)
    assert at("discriminators", 275) == pytest.approx(1e-4)
    assert at("discriminators", 300) == pytest.approx(0, abs=1e-9)
    assert all((o.beta_1, o.beta_2) == (0.5, 0.999) for o in optimizers.values())


def test_an_object_has_the_mean_of_its_pixels():
    """Two objects of one class have styles of their own; two images do not mix."""
    model = small(style_channels=3, enhancer=False)
    labels, objects, image = places()
    styles = model.styles_of(image, objects).numpy()
    coded = model.encoder(image).numpy()
    for row in range(2):
        for number in (0, 1, 2, 7):
            inside = objects[row].numpy() == number
            mean = coded[row][inside].mean(axis=0)
            np.testing.assert_allclose(styles[row][inside], mean[None].repeat(256, 0), atol=1e-5)
    assert np.abs(styles[0, 0, 0] - styles[0, -1, -1]).max() > 1e-4


def test_styles_are_remembered_clustered_and_chosen_by_class():
    styles = Styles(4, 3, clusters=2)
    labels, objects, _ = places()
    for step in range(40):
        with random.scope(1, step):
            shift = 0.01 * random.uniform([1, 1, 1, 3])
            second = step % 2 * tf.ones([1, 32, 32, 3])
            ones = tf.cast(labels[:1], "float32")[..., None] + second / 2 + shift
            styles.remember(labels[:1], ones)
    np.testing.assert_array_equal(styles.count, [40, 40, 40, 0])  # no pixel of class 3
    styles.cluster()
    centers = np.sort(styles.centers.numpy()[:3], axis=1)
    for label in range(3):
        np.testing.assert_allclose(centers[label, 0], label, atol=0.02)
        np.testing.assert_allclose(centers[label, 1], label + 0.5, atol=0.02)
    np.testing.assert_array_equal(styles.centers[3], np.zeros([2, 3]))
    with random.scope(3):
        many = [tf.repeat(x[:1], 32, axis=0) for x in (labels, objects)]
        drawn = styles.drawn(*many).numpy()
    for number in (0, 1, 2, 7):
        inside = drawn[:, objects[0].numpy() == number]
        assert (inside == inside[:, :1]).all()  # the same in the whole object
        assert len(np.unique(inside[:, 0, 0])) == 2  # both styles occur
    assert (drawn[:, 0, 0] != drawn[:, -1, -1]).any()  # each object for itself


def test_a_full_size_map_in_stage_0_is_drawn_at_half_the_size():
    model = small(global_steps=5)
    labels, objects, _ = places()
    found = model.photograph(labels, objects).numpy()
    half = model.photograph(labels[:, ::2, ::2], objects[:, ::2, ::2]).numpy()
    np.testing.assert_array_equal(found[:, ::2, ::2], half)
    model.now = 5
    assert np.abs(model.photograph(labels, objects) - found).max() > 1e-4  # the enhancer's


def test_a_loaded_model_draws_with_its_enhancer(tmp_path):
    """Its stage comes from the file; in stage 0 the enhancer has no part in the photographs."""
    model = small(global_steps=1, enhancer_steps=1, joint_steps=1)
    labels, objects, _ = places()
    early = model.photograph(labels, objects)
    model.step.assign(3)
    found = model.photograph(labels, objects)
    assert np.abs(found - early).max() > 1e-4
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.photograph(labels, objects), found, atol=1e-6)
    young = small(global_steps=1, enhancer_steps=1, joint_steps=1)
    young.make_train_function()  # as a training does, from which on the model counts by itself
    assert young.stage == 0
    young.load_weights(tmp_path / "model.keras")
    np.testing.assert_allclose(young.photograph(labels, objects), found, atol=1e-6)


def test_a_size_that_cannot_be_halved_is_named_as_it_was_given():
    with pytest.raises(BadInput, match=r"not 40x30.*model.image_shape=\[40, 32, 3\]"):
        small(image_shape=(40, 30, 3))


def test_one_pixel_in_the_middle_is_refused():
    """It has no neighbors to reflect."""
    with pytest.raises(BadInput, match="at least 64 pixels, not 32x64"):
        small(image_shape=(32, 64, 3), downs=4)


def test_class_numbers_that_no_class_has_are_refused():
    model, labels = small(enhancer=False), tf.fill([1, 32, 32], 9)
    with pytest.raises(BadInput, match="numbers from 0 to 3; the least and greatest are 9 9"):
        model.translate(labels, labels)
    model.compile(run_eagerly=True)
    batch = {"map": labels, "instances": labels, "target": tf.zeros([1, 32, 32, 3])}
    with pytest.raises(BadInput, match="numbers from 0 to 3; the least and greatest are 9 9"):
        model.train_on_batch(batch)
