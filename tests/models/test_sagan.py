"""SAGAN: attention in both networks, spectral norms of 1 in both, two rates, the counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.conditional_norm import ConditionalBatchNorm
from tfgans.layers.self_attention import SelfAttention
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.sagan import SAGAN


def small(**settings):
    return SAGAN(**{
        "image_shape": (8, 8, 1), "latent_dim": 4, "num_classes": 3,
        "generator_channels": (4, 6, 8), "discriminator_channels": (4, 6, 6), "attention": 4,
        "momentum": 0.9, "last_momentum": 0.9,
    } | settings)  # fmt: skip


@pytest.mark.parametrize(
    "attention, generator, discriminator",
    [(0, 41_996_931, 39_443_137), (32, 42_078_852, 39_463_618), (64, 42_017_412, 39_448_258)],
)
def test_networks_for_imagenet(attention, generator, discriminator):
    with without_numbers():
        model = SAGAN(attention=attention)
    assert trainable(model.generator) == generator
    assert trainable(model.discriminator) == discriminator
    norms = [n for n in model.generator.layers if isinstance(n, ConditionalBatchNorm)]
    assert [norm.gamma.shape[1] for norm in norms] == [
        1024, 1024, 1024, 512, 512, 256, 256, 128, 128, 64,
    ]  # fmt: skip
    assert {norm.norm.momentum for norm in norms} == {0.999}


def test_every_matrix_of_both_networks_is_normalized():
    model = small()
    for network in (model.generator, model.discriminator):
        layers = [w for w in network._flatten_layers() if isinstance(w, SpectralNorm)]
        kernels = {id(layer.layer.weights[0]) for layer in layers}
        tables = {"gamma", "beta"}  # of the classes, in G
        assert kernels == {
            id(w) for w in network.trainable_variables if len(w.shape) > 1 and w.name not in tables
        }
        before = [layer.u.numpy() for layer in layers]
        network([tf.random.normal([4, *i.shape[1:]]) for i in network.inputs], training=True)
        for old, layer in zip(before, layers, strict=True):  # one step of its power iteration
            w = layer.layer.weights[0].numpy()
            w = w.reshape(-1, w.shape[-1])
            u = w.T @ (w @ old)
            np.testing.assert_allclose(layer.u, u / np.linalg.norm(u), atol=1e-5)


def test_sampling_does_not_move_the_power_iteration():
    model = small()
    before = [w.numpy() for w in model.variables]
    model.sample(2, seed=0)
    model(tf.zeros([1, 4]), tf.constant([1]))
    for old, w in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, w.numpy())


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_attention_sits_behind_the_block_of_its_height(player):
    network = getattr(small(image_shape=(16, 16, 1), attention=8, generator_channels=(4, 6, 8, 4),
                            discriminator_channels=(5, 6, 6, 7)), player)  # fmt: skip
    (layer,) = [a for a in network.layers if isinstance(a, SelfAttention)]
    # G has 6 at 4, 8 at 8, 4 at 16; D has 5 at 8, 6 at 4.
    assert layer.output.shape[1:] == ((8, 8, 8) if player == "generator" else (8, 8, 5))
    assert layer.pooled and float(layer.gain.numpy()) == 0.0
    inputs = [tf.random.normal([2, *i.shape[1:]]) for i in network.inputs]
    first = network(inputs).numpy()
    layer.gain.assign(1.0)
    assert np.abs(network(inputs) - first).max() > 1e-4


def test_score_is_a_projection_of_summed_features():
    network = small(attention=0).discriminator
    psi, embedding = network.get_layer("psi"), network.get_layer("embedding")
    psi.layer.bias.assign([0.3])
    maps = keras.Model(network.inputs[0], psi.input)
    image = tf.random.normal([2, 8, 8, 1])
    h, v = maps(image).numpy(), embedding(tf.eye(3)).numpy()
    for k in range(3):
        score = network([image, tf.one_hot([k, k], 3)]).numpy()[:, 0]
        np.testing.assert_allclose(score, psi(h)[:, 0] + h @ v[k], atol=1e-5)
    last = [layer for layer in network.layers if isinstance(layer, keras.layers.ReLU)][-1]
    x = keras.Model(network.inputs[0], last.input)(image).numpy()
    np.testing.assert_allclose(h, np.maximum(x, 0).sum(axis=(1, 2)), rtol=1e-5)


def test_losses_by_numbers():
    model, label = small(), tf.one_hot([0, 1], 3)
    model.discriminator = lambda inputs, training: tf.zeros([len(inputs[0]), 1])
    with random.scope(0):
        d = model.discriminator_loss(tf.zeros([2, 8, 8, 1]), label)
        assert float(model.generator_loss(8)["fake"]) == 0.0
    assert float(d["real"] + d["fake"]) == 2.0
    model.discriminator = lambda inputs, training: tf.reshape([3.0, -3.0, 0.5, -3.0], [4, 1])
    with random.scope(0):
        d = model.discriminator_loss(tf.zeros([2, 8, 8, 1]), label)
    assert float(d["real"]) == pytest.approx((0 + 4) / 2)
    assert float(d["fake"]) == pytest.approx((1.5 + 0) / 2)
    model.discriminator = lambda inputs, training: tf.reshape([3.0, -1.0], [2, 1])
    with random.scope(0):
        assert float(model.generator_loss(2)["fake"]) == -1.0


def test_d_judges_each_image_as_its_class():
    model, seen = small(), []
    model.generator = lambda inputs, training: tf.reshape(
        tf.cast(tf.argmax(inputs[1], axis=1), "float32"), [-1, 1, 1, 1]
    )

    def discriminator(inputs, training):
        seen.append((inputs[0].numpy().ravel(), tf.argmax(inputs[1], axis=1).numpy()))
        return tf.zeros([len(inputs[0]), 1])

    model.discriminator = discriminator
    number = np.arange(6) % 3
    with random.scope(0):
        model.discriminator_loss(
            tf.constant(number.reshape(6, 1, 1, 1), "float32"), tf.one_hot(number, 3)
        )
        model.generator_loss(60)
    for image, label in seen:
        np.testing.assert_array_equal(image, label)


def test_d_learns_four_times_as_fast_one_move_each():
    model, moves = small(), []
    model.compile(run_eagerly=True)
    update = model.update

    def recorded(player, *args, **kwargs):
        moves.append(player)
        return update(player, *args, **kwargs)

    model.update = recorded
    steps = {}
    for player, optimizer in model.optimizers.items():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.0, 0.9)
        w = keras.Variable(tf.zeros([2]))
        optimizer = type(optimizer).from_config(optimizer.get_config())
        optimizer.apply([tf.constant([1.0, -3.0])], [w])
        steps[player] = np.abs(w.numpy())
    np.testing.assert_allclose(steps["generator"], 1e-4, rtol=1e-3)
    np.testing.assert_allclose(steps["discriminator"], 4 * steps["generator"], rtol=1e-5)
    model.train_on_batch({"image": tf.zeros([4, 8, 8, 1]), "label": tf.range(4) % 3})
    assert moves == ["discriminator", "generator"]


def test_attention_endpoint_and_its_picture():
    model = small()
    found = model.endpoints()["attention"][0](tf.random.normal([2, 4]), tf.eye(3)[:2])
    assert found["attention"].shape == (2, 4, 4, 2, 2)
    np.testing.assert_allclose(tf.reduce_sum(found["attention"], [3, 4]), 1.0, atol=1e-5)
    z = tf.random.normal([2, 4])
    np.testing.assert_allclose(
        model.looks(z, tf.constant([0, 1]))[0], model(z, tf.constant([0, 1])), atol=1e-6
    )
    with random.scope(0):
        table = model.preview({"label": tf.range(30) % 3})
    assert table.shape == (9, 6, 8, 8, 1)
    assert (tf.reduce_max(table[-1], [1, 2, 3]).numpy() == 1.0).all()  # the most is white
    assert "attention" not in small(attention=0).endpoints()


def test_attention_where_no_map_has_its_height():
    with pytest.raises(BadInput, match="No block of the generator has maps 5 .* 4, 8"):
        small(attention=5)
    with pytest.raises(BadInput, match="No block of the discriminator has maps 8"):
        small(attention=8)
    with pytest.raises(BadInput, match="from 0 to 2"):
        small().sample(1, labels=[3])
