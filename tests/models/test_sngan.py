"""SNGAN: what spectral normalization does to the networks, labels, the game, the counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.layers.conditional_norm import ConditionalBatchNorm
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.sngan import SNGAN, build_discriminator, build_generator
from tfgans.optimizers import HoldThenDecay

CONTRACT = {
    "games": [
        {},
        {"hinge": False},
        {"num_classes": 2, "discriminator_channels": (4, 4, 4, 4)},
    ]
}


def small(**settings):
    return SNGAN(**{
        "image_shape": (8, 8, 1), "latent_dim": 4, "generator_channels": (4, 4),
        "discriminator_channels": (4, 4, 4, 6) if settings.get("num_classes") else (4, 6),
        "discriminator_downs": 1,
    } | settings)  # fmt: skip


def randomize_biases(network):
    for w in network.trainable_variables:
        if len(w.shape) == 1:
            w.assign(tf.random.normal(w.shape))


CNN = {"architecture": "cnn", "generator_channels": (8, 4), "discriminator_channels": (4, 6)}
NETWORKS = pytest.mark.parametrize(
    "settings",
    [{}, {"num_classes": 3}, CNN],
    ids=["resnet", "labels", "cnn"],
)


@NETWORKS
def test_every_matrix_of_the_discriminator_is_normalized_and_none_of_the_generator(settings):
    model = small(**settings)
    wrapped = [w for w in model.discriminator.layers if isinstance(w, SpectralNorm)]
    kernels = {id(layer.layer.weights[0]) for layer in wrapped}
    assert kernels == {id(w) for w in model.discriminator.trainable_variables if len(w.shape) > 1}
    assert not any(isinstance(layer, SpectralNorm) for layer in model.generator.layers)
    image, label = tf.random.normal([2, 8, 8, 1]), tf.one_hot([0, 2], 3)

    def score():
        return model.discriminator([image, label] if model.num_classes else image, training=False)

    before = score().numpy()
    assert np.abs(before).max() > 1e-3
    for layer in wrapped:  # doubled weights are the same network
        layer.layer.weights[0].assign(2.0 * layer.layer.weights[0])
    np.testing.assert_allclose(score(), before, atol=1e-5)


@NETWORKS
def test_a_move_of_the_discriminator_is_orthogonal_to_its_weights(settings):
    model = small(**settings)
    label = tf.one_hot([0, 1, 2, 2], 3) if model.num_classes else None
    weights = model.discriminator.trainable_variables
    values = [w.value for w in weights]
    with tf.GradientTape() as tape, random.scope(0):
        terms = model.discriminator_loss(tf.random.normal([4, 8, 8, 1]), label)
        loss = tf.add_n(list(terms.values()))
    checked = 0
    for w, gradient in zip(weights, tape.gradient(loss, values), strict=True):
        if len(w.shape) > 1:
            size = np.linalg.norm(gradient) * np.linalg.norm(w)
            assert size > 0 and abs(np.sum(gradient * w)) < 1e-5 * size, w.path
            checked += 1
    assert checked >= 4


def test_one_power_iteration_per_move_for_real_and_fake_together():
    model = small()
    layer = next(w for w in model.discriminator.layers if isinstance(w, SpectralNorm))
    start, w = layer.u.numpy(), layer.layer.kernel.numpy().reshape(-1, 4)
    with random.scope(0):
        model.discriminator_loss(tf.zeros([4, 8, 8, 1]), None)
    once = w.T @ (w @ start)
    np.testing.assert_allclose(layer.u, once / np.linalg.norm(once), atol=1e-5)


def test_features_are_summed_over_positions():
    """The same texture on four times the area scores four times as high."""
    network = build_discriminator((8, 8, 1), (4,), 0, False, 0)
    wide = build_discriminator((16, 16, 1), (4,), 0, False, 0)
    wide.set_weights(network.get_weights())
    for net in (network, wide):  # 1x1 effective kernels: no influence of the border
        for layer in net.layers:
            if isinstance(layer, SpectralNorm) and len(layer.layer.kernel.shape) == 4:
                kernel = layer.layer.kernel
                middle = np.zeros(kernel.shape, "float32")
                middle[kernel.shape[0] // 2, kernel.shape[1] // 2] = 1.0
                kernel.assign(kernel * middle)
    small_score, wide_score = network(tf.ones([1, 8, 8, 1])), wide(tf.ones([1, 16, 16, 1]))
    assert np.abs(small_score).max() > 0.01
    np.testing.assert_allclose(wide_score, 4.0 * small_score, rtol=1e-4)


def test_losses_of_an_undecided_discriminator():
    for hinge, total, g in ((True, 2.0, 0.0), (False, 1.386294, 0.693147)):
        model = small(hinge=hinge)
        model.discriminator = lambda image, training: tf.zeros([len(image), 1])
        with random.scope(0):
            d = model.discriminator_loss(tf.zeros([4, 8, 8, 1]), None)
            assert float(model.generator_loss(8)["fake"]) == pytest.approx(g, abs=1e-6)
        assert float(d["real"] + d["fake"]) == pytest.approx(total, abs=1e-6)
    model = small()
    model.discriminator = lambda image, training: tf.reshape([3.0, -3.0, 0.5, -3.0], [4, 1])
    with random.scope(0):
        d = model.discriminator_loss(tf.zeros([2, 8, 8, 1]), None)
    assert float(d["real"]) == pytest.approx((0 + 4) / 2)  # satisfied beyond a margin of 1
    assert float(d["fake"]) == pytest.approx((1.5 + 0) / 2)


def test_generator_moves_first_then_five_moves_of_the_discriminator():
    model = small(num_classes=2)
    moves = []

    def recorded(player, loss, *args, n=None):
        moves.append((player, args if n is None else n))
        return {}

    model.update = recorded
    image = tf.random.uniform([20, 8, 8, 1], -1, 1)
    with random.scope(0):
        model.train_step({"image": image, "label": tf.range(20) % 2})
    assert [player for player, _ in moves] == ["generator"] + ["discriminator"] * 5
    assert moves[0][1] == 8  # twice a discriminator's batch of 4
    for k, (_, (real, label)) in enumerate(moves[1:]):
        noise = real.numpy() - ((image.numpy()[k::5] + 1) * 127.5 / 128 - 1)
        assert noise.min() >= -1e-6 and noise.max() <= 1 / 128 + 1e-6 and noise.std() > 1e-3
        np.testing.assert_array_equal(np.argmax(label, 1), np.arange(k, 20, 5) % 2)


def test_labels_of_fakes_are_uniform_and_shared_by_both_networks():
    model = small(num_classes=4)
    seen = []
    generator = model.generator
    model.generator = lambda inputs, training: seen.append(inputs[1]) or generator(inputs)
    with random.scope(0):
        _, label = model.generate(4000)
    np.testing.assert_array_equal(seen[0], label)
    assert np.abs(np.sum(label, axis=0) / 1000 - 1).max() < 0.15


def test_labels_reach_the_images():
    model = small(num_classes=3)
    for layer in model.generator.layers:
        if isinstance(layer, ConditionalBatchNorm):
            layer.gamma.assign(tf.random.normal(layer.gamma.shape))
    in_turn = model.sample(3, seed=0).numpy()
    np.testing.assert_array_equal(in_turn, model.sample(3, seed=0, labels=[0, 1, 2]))
    other = model.sample(3, seed=0, labels=[0, 1, 1]).numpy()
    np.testing.assert_array_equal(in_turn[:2], other[:2])
    assert np.abs(in_turn[2] - other[2]).max() > 1e-4
    with pytest.raises(BadInput, match="from 0 to 2"):
        model.sample(1, labels=[3])
    with pytest.raises(BadInput, match="Labels were given"):
        small()(tf.zeros([1, 4]), tf.constant([0]))


def test_a_labeled_model_trains_and_is_exported_with_its_label(tmp_path):
    model = small(num_classes=3, n_critic=1)
    model.compile(run_eagerly=True)
    batch = {"image": tf.random.uniform([4, 8, 8, 1], -1, 1), "label": tf.range(4) % 3}
    model.fit(tf.data.Dataset.from_tensors(batch), shuffle=False, verbose=0)
    model.export(tmp_path / "1")
    served = tf.saved_model.load(str(tmp_path / "1"))
    z, label = tf.random.normal([2, 4]), tf.one_hot([2, 0], 3)
    image = served.signatures["serving_default"](z=z, label=label)["image"]
    np.testing.assert_allclose(image, model(z, label), atol=2e-6)


def test_learning_rates_end_together():
    optimizers = small(decay_start=400_000, decay_end=450_000).default_optimizers()
    for player, updates in (("discriminator", 5), ("generator", 1)):
        optimizer = optimizers[player]
        assert (optimizer.beta_1, optimizer.beta_2) == (0.0, 0.9)
        schedule = optimizer._learning_rate
        for step, part in ((0, 1.0), (400_000, 1.0), (425_000, 0.5), (450_000, 0), (500_000, 0)):
            assert float(schedule(step * updates)) == pytest.approx(2e-4 * part, abs=1e-9)
        again = HoldThenDecay.from_config(schedule.get_config())
        assert float(again(425_000 * updates)) == pytest.approx(1e-4, abs=1e-9)


def test_networks_for_cifar_10():
    """The counts of the authors' networks: with labels G's last normalization has none."""
    with without_numbers():
        labeled = build_generator((32, 32, 3), 128, (256,) * 4, 10)
    assert trainable(labeled) == 4_304_387
    model = SNGAN()
    assert trainable(model.generator) == 4_304_387 - 6 * (2 * 10 - 2) * 256
    assert trainable(model.discriminator) == 1_055_104 - 10 * 128
    kernels = {layer.kernel.shape[:2]: layer.kernel.numpy() for layer in model.generator.layers
               if isinstance(layer, keras.layers.Conv2D) and layer.filters == 256}  # fmt: skip
    assert kernels[3, 3].std() == pytest.approx((2.0 / (9 * 256)) ** 0.5, rel=0.02)
    assert kernels[1, 1].std() == pytest.approx((1.0 / 256) ** 0.5, rel=0.02)
    assert model.generator.get_layer(index=2).output.shape[1:] == (4, 4, 256)


def test_label_channels():
    """128 channels of the embedded label join those of the third block."""
    model = small(num_classes=3)
    kernels = [w for w in model.discriminator.trainable_variables if len(w.shape) == 4]
    assert [w.shape[-2] for w in kernels].count(4 + 128) == 3  # both convolutions, shortcut
    with pytest.raises(BadInput, match="there are 2: give four numbers"):
        small(num_classes=3, discriminator_channels=(4, 4))


def test_plain_networks():
    """Table 3, counted by hand."""
    settings = Config.load("sngan-cnn").model
    model = SNGAN(**settings)
    deconvs = [(512, 256), (256, 128), (128, 64)]
    generator = 129 * 8192 + sum(16 * a * b + 3 * b for a, b in deconvs) + 9 * 64 * 3 + 3
    assert trainable(model.generator) == generator
    convs = [(3, 3, 64), (4, 64, 64), (3, 64, 128), (4, 128, 128), (3, 128, 256), (4, 256, 256),
             (3, 256, 512)]  # fmt: skip
    discriminator = sum(k * k * a * b + b for k, a, b in convs) + 4 * 4 * 512 + 1
    assert trainable(model.discriminator) == discriminator
    slopes = {w.negative_slope for w in model.discriminator.layers
              if isinstance(w, keras.layers.LeakyReLU)}  # fmt: skip
    assert slopes == {0.1}
    assert SNGAN(**settings | {"image_shape": (48, 48, 3)}).generator.output.shape == (
        None, 48, 48, 3,
    )  # fmt: skip


def test_what_cannot_be_built_is_said():
    with pytest.raises(BadInput, match="multiples of 8, not 30x32"):
        SNGAN(image_shape=(30, 32, 3))
    with pytest.raises(BadInput, match="without classes, 'cnn'"):
        small(**CNN, num_classes=3)
    with pytest.raises(BadInput, match="'vgg'"):
        small(architecture="vgg")


@pytest.mark.parametrize("kind", ["layer", "none"])
def test_generator_with_another_normalization(kind):
    """Its images do not depend on the rest of a batch, in training neither."""
    model = SNGAN(
        image_shape=(8, 8, 1), latent_dim=4, generator_channels=(4, 4),
        discriminator_channels=(4, 4), discriminator_downs=1, generator_norm=kind,
    )  # fmt: skip
    z = tf.random.normal([3, 4])
    together = model.generator(z, training=True)
    np.testing.assert_allclose(together[:1], model.generator(z[:1], training=True), atol=1e-5)
    norms = [layer for layer in model.generator.layers if "Normalization" in type(layer).__name__]
    assert len(norms) == (3 if kind == "layer" else 0)
    for norm in norms:  # each image as a whole
        x = 3.0 + 2.0 * tf.random.normal([2, *norm.input.shape[1:]])
        mean, variance = tf.nn.moments(norm(x), [1, 2, 3])
        np.testing.assert_allclose(mean, 0.0, atol=1e-4)
        np.testing.assert_allclose(variance, 1.0, atol=1e-3)
    with pytest.raises(BadInput, match="with classes .* it is batch: not 'layer'"):
        SNGAN(num_classes=3, generator_norm="layer")
