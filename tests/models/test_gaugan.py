"""GauGAN: networks by their counts, SPADE keeps uniform maps apart, hinge, codes of styles."""

import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.conditional_norm import SpatialConditionalNorm
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.gaugan import GauGAN, build_generator
from tfgans.models.pix2pixhd import VGG_WEIGHTS
from tfgans.ops.label_maps import semantics


def is_white(rows, colors):
    return tf.reduce_all(rows[..., -3:] > 0.9, axis=[1, 2, 3])  # the image, after the semantics


CONTRACT = {
    "is_real": is_white,
    "served": ["generator", "style_encoder"],
    # Weights begin near 0.005; steps of their own size would enlarge rounding.
    "rate": 1e-5,
    "atol": {"moving_variance": 5e-6},  # above 1
}


def small(**settings):
    sizes = {"image_shape": (32, 32, 3), "num_labels": 4, "unlabeled": False, "width": 2}
    sizes |= {"encoder": True, "encoder_side": 8, "latent_dim": 4, "spade_width": 4}
    model = GauGAN(**sizes | {"scales": 1, "halvings": 1, "perceptual_weight": 0.0} | settings)
    model.compile()
    return model


def given(n=2, seed=0):
    keys = np.random.RandomState(seed)
    labels = np.repeat(np.repeat(keys.randint(0, 4, [n, 4, 4]), 8, axis=1), 8, axis=2)
    image = keys.uniform(-1, 1, [n, 32, 32, 3]).astype("float32")
    return tf.constant(labels, "int32"), tf.constant(labels + 5, "int32"), tf.constant(image)


@pytest.mark.parametrize(
    "settings, generator, judge",
    [
        ({}, 97_480_899, 2_952_257),
        ({"num_labels": 150, "instances": False}, 96_492_483, 2_918_465),
        (
            {"num_labels": 35, "unlabeled": False, "upsampling": "more"}
            | {"image_shape": (256, 512, 3)},
            93_048_003,
            2_800_705,
        ),
        ({"encoder": True}, 112_626_883, 2_952_257),
    ],
    ids=["coco", "ade20k", "cityscapes", "coco-encoder"],
)
def test_networks_of_the_paper(settings, generator, judge):
    with without_numbers():
        model = GauGAN(**settings)
    assert trainable(model.generator) == generator
    assert [trainable(d) for d in model.discriminators] == 2 * [judge]
    for network in model.discriminators:  # the three in the middle, neither first nor last
        assert sum(isinstance(layer, SpectralNorm) for layer in network.layers) == 3
    if settings.get("encoder"):
        assert trainable(model.style_encoder) == 10_463_424
        parts = model.style_encoder.layers
        assert sum(isinstance(layer, SpectralNorm) for layer in parts) == 6


def test_the_most_doublings_end_with_half_the_channels():
    with without_numbers():
        model = build_generator((256, 512, 3), 3, 64, doublings=7, latent_dim=0, spade_width=8)
    assert model.layers[-3].output.shape[1:] == (256, 512, 32)


def test_spade_without_a_word_of_the_map_is_its_norm():
    """gamma and beta of 0: the norm alone, so it is 1 + gamma; a bias of 1 doubles it."""
    layer = SpatialConditionalNorm(8, statistics="batch")
    x = tf.random.stateless_normal([2, 6, 6, 3], (0, 1)) * 3.0 + 1.0
    m = tf.one_hot(tf.random.stateless_uniform([2, 3, 3], (0, 2), 0, 4, "int32"), 4)
    layer(x, m)
    for conv in (layer.to_gamma, layer.to_beta):
        conv.set_weights([np.zeros_like(w) for w in conv.get_weights()])
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    normalized = (x - mean) / tf.sqrt(variance + 1e-5)
    np.testing.assert_allclose(layer(x, m, training=True), normalized, atol=1e-5)
    kernel, bias = layer.to_gamma.get_weights()
    layer.to_gamma.set_weights([kernel, bias + 1.0])
    np.testing.assert_allclose(layer(x, m, training=True), 2.0 * normalized, atol=1e-5)
    # The convolutions in SPADE are not normalized by their spectrum.
    assert not any(isinstance(part, SpectralNorm) for part in layer._flatten_layers())


def test_uniform_maps_of_two_classes_give_two_images():
    """At gain 1; pix2pixHD gives one image for both."""
    model = small(encoder=False, instances=False)
    for weight in model.generator.trainable_weights:
        weight.assign(50.0 * weight)  # the gain is 0.02
    images = [
        model.photograph(tf.fill([1, 32, 32], label)).numpy() for label in tf.constant([0, 2])
    ]
    assert np.abs(images[0] - images[1]).mean() > 1e-3


def fixed(score, features=0.0):
    def network(x, training):
        fake = tf.cast(x[..., -1:] < 0.9, "float32")
        scores = tf.reshape(score * (1.0 - 2.0 * fake[:, :1, :1]), [-1, 1, 1, 1])
        return {"score": scores} | {f"stage_{k}": features * fake for k in range(1, 5)}

    return network


@pytest.mark.parametrize("scales", [1, 2])
def test_losses_of_known_scores(scales):
    """Zero scores: D 2.0, G 0; +-0.5: D 1.0, G 0.5; means over scales, features 10 * 4 * 0.5."""
    model = small(scales=scales, encoder=False)
    labels, objects, _ = given()
    white = tf.ones([2, 32, 32, 3])
    for score, d_loss, g_loss in ((0.0, 2.0, 0.0), (0.5, 1.0, 0.5), (2.0, 0.0, 2.0)):
        model.discriminators = [fixed(score, 0.5)] * scales
        d = model.discriminators_loss(labels, objects, white)
        g = model.generator_loss(labels, objects, white)
        assert float(d["real"] + d["fake"]) == pytest.approx(d_loss)
        assert float(g["fake"]) == pytest.approx(g_loss)
        assert float(g["features"]) == pytest.approx(10 * 4 * 0.5, rel=1e-3)
    # A score of 0.5 for real images alone, and 0 for fakes.
    network = fixed(0.25)

    def unequal(x, training):
        found = network(x, training)
        return found | {"score": found["score"] + 0.25}

    model.discriminators = [unequal] * scales
    d = model.discriminators_loss(labels, objects, white)
    assert float(d["real"]) == pytest.approx(0.5) and float(d["fake"]) == pytest.approx(1.0)


def test_the_distance_in_vgg():
    model = small(encoder=False, perceptual_weight=7.0)
    model.look = lambda x: [tf.reduce_mean(x, axis=-1)] * 5
    model.draw = lambda seen, training: tf.fill([2, 32, 32, 3], 0.1)
    labels, objects, _ = given()
    terms = model.generator_loss(labels, objects, tf.zeros([2, 32, 32, 3]))
    assert float(terms["perceptual"]) == pytest.approx(7.0 * sum(VGG_WEIGHTS) * 0.1)


def test_divergence_is_a_sum_over_batch_and_code():
    """mean 1, log variance 0, two images, 256 numbers: 256, times 0.05 is 12.8."""
    model = small()
    kl = model.divergence(tf.ones([2, 256]), tf.zeros([2, 256]))
    assert float(model.divergence_weight * kl) == pytest.approx(12.8)
    log2 = float(np.log(2.0))  # a variance of 2: 0.5 (2 - 1 - ln 2) for each number
    kl = model.divergence(tf.zeros([1, 3]), tf.fill([1, 3], log2))
    assert float(kl) == pytest.approx(1.5 * (1.0 - log2), rel=1e-5)


def test_real_and_fake_pass_as_one_batch():
    model, seen = small(), []
    labels, objects, image = given()
    model.discriminators = [lambda x, training: seen.append(x) or {"score": x, "stage_1": x}]
    fake = -tf.ones_like(image)
    ((of_fake, of_real),) = model.compare(semantics(labels, objects, 4), fake, image)
    assert len(seen) == 1 and seen[0].shape == (4, 32, 32, 8)
    np.testing.assert_array_equal(of_fake["score"][..., 5:], fake)
    np.testing.assert_array_equal(of_real["score"][..., 5:], image)
    np.testing.assert_array_equal(of_fake["score"][..., :5], of_real["score"][..., :5])


def test_codes_have_the_encoders_mean_and_deviation():
    model = small()
    labels, objects, image = given()
    mean, log_variance = (
        tf.constant(x, "float32") for x in (np.full([2, 4], 2.0), np.ones([2, 4]))
    )
    model.encode = lambda image, training: (mean, log_variance)
    codes = []
    model.draw = lambda seen, z, training: codes.append(z) or image
    for step in range(500):
        with random.scope(0, step):
            model.fakes(None, image)
    codes = np.concatenate(codes)
    assert codes.mean() == pytest.approx(2.0, abs=0.1)
    assert codes.std() == pytest.approx(np.exp(0.5), rel=0.05)


def test_content_comes_from_the_map_and_style_from_the_photograph():
    model = small()
    for weight in [*model.generator.trainable_weights, *model.style_encoder.trainable_weights]:
        weight.assign(20.0 * weight)
    labels, objects, image = given()
    made = model.photograph(labels, objects, image)
    swapped = model.photograph(labels, objects, image[::-1])
    assert np.abs(made - swapped).max() > 1e-3
    mean, _ = model.encode(image)
    np.testing.assert_allclose(model.from_code(labels, objects, mean.numpy()), made, atol=1e-6)
    function, signature = model.endpoints()["generate"]
    assert [spec.name for spec in signature] == ["map", "instances", "z"]
    np.testing.assert_allclose(function(labels, objects, mean)["image"], made, atol=1e-6)


def test_rates_are_four_to_one():
    optimizers = small().optimizers
    rates = {player: float(o.learning_rate) for player, o in optimizers.items()}
    assert rates == pytest.approx({"discriminators": 4e-4, "generator": 1e-4})
    assert all((o.beta_1, o.beta_2) == (0.0, 0.9) for o in optimizers.values())


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"upsampling": "much"}, "normal"),
        ({"encoder_side": 100}, "power of 2"),
        ({"image_shape": (40, 64, 3)}, r"not 40x64.*model.image_shape=\[32, 64, 3\]"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(BadInput, match=words):
        small(**settings)


def test_class_numbers_that_no_class_has_are_refused():
    labels, objects, image = given()
    model, bad = small(encoder=False), labels + 4
    with pytest.raises(BadInput, match="numbers from 0 to 3; the least and greatest are 4 7"):
        model.translate(bad, objects)
    model.compile(run_eagerly=True)
    with pytest.raises(BadInput, match="numbers from 0 to 3; the least and greatest are 4 7"):
        model.train_on_batch({"map": bad, "instances": objects, "target": image})
