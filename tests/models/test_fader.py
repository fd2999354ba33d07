"""Fader Networks: what each player reads and hides, the schedule, where attributes come in."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.data.attributes import SyntheticAttributes, read_attributes
from tfgans.errors import BadInput
from tfgans.models.fader import Fader
from tfgans.optimizers import Adam

CONTRACT = {
    "games": [],  # D reads attributes from codes; no score tells real images from others
    "served": ["encoder", "decoder"],
}


def small(**settings):
    return Fader(
        **{
            "image_shape": (16, 16, 3),
            "num_classes": 3,
            "channels": (4, 8),
            "dense_width": 8,
            "hiding_weight": 0.5,
            "hiding_steps": 4,
        }
        | settings
    )


IMAGE = tf.constant(np.random.RandomState(0).uniform(-1, 1, [8, 16, 16, 3]), "float32")
LABEL = tf.constant(np.random.RandomState(1).randint(0, 2, [8, 3]), "float32")


def reads(model, logits):
    """A discriminator that always gives these logits, [K, 2]."""
    model.discriminator = lambda code, training: tf.tile(
        tf.constant([logits], "float32"), [code.shape[0], 1, 1]
    )


def test_zero_logits_cost_ln_2_for_each_attribute():
    model = small(hiding_steps=1)
    model.step.assign(1)
    reads(model, [[0.0, 0.0]] * 3)
    assert float(model.discriminator_loss(IMAGE, LABEL)["reading"]) == pytest.approx(
        3 * math.log(2), abs=1e-5
    )
    hiding = float(model.autoencoder_loss(IMAGE, LABEL)["hiding"])
    assert hiding == pytest.approx(0.5 * 3 * math.log(2), abs=1e-5)


def test_the_encoder_wants_the_other_value():
    """Logits 0 and 4 for an attribute that is there: 0.01815 for D, 4.01815 for the encoder."""
    model = small(num_classes=1, hiding_weight=1.0, hiding_steps=1)
    model.step.assign(1)
    reads(model, [[0.0, 4.0]])
    one = tf.ones([8, 1])
    assert float(model.discriminator_loss(IMAGE, one)["reading"]) == pytest.approx(
        0.01815, abs=1e-5
    )
    assert float(model.autoencoder_loss(IMAGE, one)["hiding"]) == pytest.approx(4.01815, abs=1e-5)


@pytest.mark.parametrize(
    "n, expected", [(0, 0.0), (250_000, 5e-5), (500_000, 1e-4), (600_000, 1e-4)]
)
def test_the_schedule_of_lambda(n, expected):
    with without_numbers():
        model = Fader(channels=(4, 8, 8, 8, 8, 8), dense_width=4)
    step = tf.constant(n)
    model.step = step
    assert float(model.hiding()) == pytest.approx(expected, abs=1e-9)


def test_the_reconstruction_is_a_mean_over_pixels():
    model = small()
    model.decoder = lambda inputs, training: IMAGE + 0.5
    assert float(model.autoencoder_loss(IMAGE, LABEL)["reconstruction"]) == pytest.approx(0.25)


def test_each_network_is_as_in_use_in_the_move_of_the_other():
    """Statistics of the encoder do not move in D's move, nor D's dropout act in the encoder's."""
    model, seen = small(), {}

    def watch(name, network):
        def watched(inputs, training):
            seen.setdefault(name, []).append(training)
            return network(inputs, training=training)

        setattr(model, name, watched)

    for name in ("encoder", "decoder", "discriminator"):
        watch(name, getattr(model, name))
    with random.scope(0):
        model.discriminator_loss(IMAGE, LABEL)
        model.autoencoder_loss(IMAGE, LABEL)
    assert seen == {
        "encoder": [False, True],
        "discriminator": [True, False],
        "decoder": [True],
    }


def test_the_encoder_hides_and_is_told_nothing():
    """Its gradient of the hiding term is not 0, that of the decoder is."""
    model = small(hiding_steps=1)
    model.step.assign(1)
    with tf.GradientTape(persistent=True) as tape, random.scope(0):
        hiding = model.autoencoder_loss(IMAGE, LABEL)["hiding"]
    encoder, decoder = (
        tape.gradient(hiding, [w.value for w in network.trainable_variables])
        for network in (model.encoder, model.decoder)
    )
    assert max(float(tf.reduce_max(tf.abs(g))) for g in encoder) > 1e-6
    assert all(g is None for g in decoder)


def test_every_layer_of_the_decoder_is_told_the_attributes():
    model = small(channels=(4, 8, 8), image_shape=(16, 16, 3))
    kernels = [w.shape for w in model.decoder.trainable_variables if len(w.shape) == 4]
    assert kernels == [(4, 4, 8, 8 + 6), (4, 4, 4, 8 + 6), (4, 4, 3, 4 + 6)]
    a = model.edit(IMAGE, LABEL)
    for k in range(3):
        change = tf.one_hot(k, 3)
        assert np.abs(model.edit(IMAGE, tf.abs(LABEL - change)) - a).max() > 1e-4


def test_the_discriminator_is_told_by_a_batch_of_its_own():
    model, moves = small(), []
    model.compile(run_eagerly=True)
    model.update = lambda player, loss, *tensors: moves.append((player, *tensors)) or {}
    model.train_on_batch({"image": IMAGE, "label": LABEL})
    (first, a, of_a), (second, b, of_b) = moves
    assert (first, second) == ("discriminator", "autoencoder")
    rows = np.concatenate([a, b])  # each image once, with its own label
    order = [int(np.flatnonzero((IMAGE == row).numpy().all(axis=(1, 2, 3)))[0]) for row in rows]
    assert sorted(order) == list(range(8))
    np.testing.assert_array_equal(np.concatenate([of_a, of_b]), LABEL.numpy()[order])


def test_gradients_are_cut_at_5_together():
    for optimizer in small().default_optimizers().values():
        assert optimizer.global_clipnorm == 5.0 and not optimizer.clipnorm
        assert (float(optimizer.learning_rate), optimizer.beta_1) == (pytest.approx(2e-4), 0.5)


def test_sliding():
    model = small()
    rows = model.slide(IMAGE[:2], LABEL[:2], 1)
    assert rows.shape == (2, 7, 16, 16, 3)
    label = LABEL[:2].numpy()
    for k, degree in ((0, 0.0), (3, 0.5), (6, 1.0)):
        label[:, 1] = degree
        np.testing.assert_allclose(rows[:, k], model.edit(IMAGE[:2], label), atol=1e-5)
    table = model.preview({"image": IMAGE, "label": LABEL})
    assert table.shape == (6, 9, 16, 16, 3)


def test_the_sizes_of_the_code():
    """One attribute at 256x256: 6,985,568 and 7,014,944 weights, D 8,655,362."""
    with without_numbers():
        model = Fader()
    assert trainable(model.encoder) == 6_985_568
    assert trainable(model.encoder) + trainable(model.decoder) == 14_000_512
    assert trainable(model.discriminator) == 8_655_362
    assert model.encoder.output.shape[1:] == (4, 4, 512)


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="multiples of 4|at least"):
        small(image_shape=(18, 16, 3))
    with pytest.raises(BadInput, match="num_classes = 1 or more"):
        small(num_classes=0)
    with pytest.raises(BadInput, match="class numbers|vectors"):
        small().one_hot(tf.zeros([2, 5]))


def probe(codes, labels, taught):
    """Share of right answers of a new logistic regression, which learns from the first codes."""
    codes = (codes - codes[:taught].mean(axis=0)) / codes[:taught].std()
    layer = keras.layers.Dense(1, "sigmoid", kernel_initializer="zeros")
    regression = keras.Sequential([keras.Input(codes.shape[1:]), layer])
    regression.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    regression.fit(codes[:taught], labels[:taught], 128, epochs=20, verbose=0)
    return np.mean((regression.predict(codes[taught:], verbose=0) > 0.5) == labels[taught:])


@pytest.mark.thorough
@pytest.mark.parametrize("weight", [0.01, 0.0])
def test_the_color_leaves_the_code(weight):
    """After 600 steps a new probe reads red or blue from codes only where nothing hid them."""
    source = SyntheticAttributes((32, 32, 3), 3000)
    image = np.stack([source.read(i) for i in range(3000)]) / np.float32(127.5) - 1
    label = source.labels[:, :1]
    model = Fader(
        image_shape=(32, 32, 3),
        channels=(16, 32, 64, 32),
        dense_width=256,
        dropout=0.0,
        hiding_weight=weight,
        hiding_steps=200,
    )
    # D has to follow the codes; at the end they nearly stand still.
    slowing = keras.optimizers.schedules.PiecewiseConstantDecay([450], [2e-3, 2e-4])
    rates = {"discriminator": 1e-2, "autoencoder": slowing}
    model.compile(optimizers={name: Adam(rate, beta_1=0.5) for name, rate in rates.items()})
    draws = np.random.RandomState(0)
    for _ in range(600):
        rows = draws.randint(0, 2000, 64)
        model.train_on_batch({"image": image[rows], "label": label[rows]})
    code = np.concatenate([model.encoder(part, training=False) for part in np.split(image, 6)])
    read = probe(code.reshape([3000, -1]), label, 2000)
    assert read < 0.65 if weight else read > 0.95
    flipped = read_attributes(model.edit(image[2000:], 1.0 - label[2000:]))[:, 0]
    assert np.mean(flipped != label[2000:, 0]) > 0.8
