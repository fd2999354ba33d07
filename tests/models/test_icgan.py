"""IcGAN: three kinds of pairs, where attributes come in, and from which images encoders learn."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.icgan import IcGAN

CONTRACT = {
    "game_stage": 0,
    "served": ["generator", "encoder_z", "encoder_y"],
}


def small(**settings):
    return IcGAN(
        **{
            "image_shape": (16, 16, 3),
            "latent_dim": 4,
            "num_classes": 3,
            "width": 4,
            "encoder_channels": (4, 8),
            "label_width": 8,
            "game_steps": 2,
        }
        | settings
    )


IMAGE = tf.constant(np.random.RandomState(0).uniform(-1, 1, [8, 16, 16, 3]), "float32")
LABEL = tf.constant(np.random.RandomState(1).randint(0, 2, [8, 3]), "float32")
OTHER = tf.constant(np.random.RandomState(2).randint(0, 2, [8, 3]), "float32")


def play(model, scores):
    """Gives the scores to D's calls in turn; returns the list of its inputs."""
    inputs, rest = [], list(scores)

    def discriminator(given, training):
        inputs.append(given)
        return rest.pop(0)

    model.discriminator = discriminator
    return inputs


def test_real_pairs_count_twice_as_much_as_each_kind_of_wrong_ones():
    """(ln 2 + ln 2 / 2 + ln 2 / 2) / 2 at zero logits; gradients -0.5, 0.25, 0.25 by n."""
    model, zeros = small(), [tf.zeros([8, 1]) for _ in range(3)]
    seen = play(model, zeros)
    with tf.GradientTape() as tape, random.scope(0):
        tape.watch(zeros)
        terms = model.discriminator_loss(IMAGE, LABEL, OTHER)
        total = tf.add_n(list(terms.values()))
    assert float(total) / 2 == pytest.approx(0.693147, abs=1e-6)
    real, fake, wrong = tape.gradient(total, zeros)
    np.testing.assert_allclose(real, np.full([8, 1], -0.5 / 8), atol=1e-6)
    np.testing.assert_allclose(fake, np.full([8, 1], 0.25 / 8), atol=1e-6)
    np.testing.assert_allclose(wrong, np.full([8, 1], 0.25 / 8), atol=1e-6)
    (first, own), (made, of_made), (again, others) = seen
    np.testing.assert_array_equal(first, IMAGE)
    np.testing.assert_array_equal(again, IMAGE)
    np.testing.assert_array_equal(own, LABEL)
    differ = (OTHER.numpy() != LABEL.numpy()).any(axis=1)
    assert (others.numpy() != LABEL.numpy()).any(axis=1).all()
    np.testing.assert_array_equal(others.numpy()[differ], OTHER.numpy()[differ])
    assert np.abs(made - IMAGE).max() > 0.1
    np.testing.assert_array_equal(of_made, OTHER)


def test_wrong_attributes_are_never_right():
    """Where the other image has the same ones, one of them is flipped."""
    model, label = small(), tf.zeros([3000, 3])
    with random.scope(0):
        wrong = model.wrong(label, label).numpy()
    np.testing.assert_array_equal(wrong.sum(axis=1), np.ones(3000))
    np.testing.assert_allclose(wrong.mean(axis=0), 1 / 3, atol=0.04)
    with random.scope(0):
        np.testing.assert_array_equal(model.wrong(label, label + 1.0), label + 1.0)


def test_the_generator_wants_its_images_to_be_real():
    model = small()
    play(model, [tf.fill([8, 1], 2.0)])
    with random.scope(0):
        loss = float(model.generator_loss(LABEL)["fake"])
    assert loss == pytest.approx(math.log1p(math.exp(-2.0)), abs=1e-6)


def test_attributes_come_in_behind_the_first_convolution():
    """Its output does not depend on them; the second one sees 64 + 18 channels."""
    model = IcGAN()
    kernels = [w.shape for w in model.discriminator.trainable_weights if len(w.shape) == 4]
    assert kernels == [(4, 4, 3, 64), (4, 4, 64 + 18, 128), (4, 4, 128, 256), (4, 4, 256, 512)]
    score = model.discriminator.layers[-1]
    assert score.kernel.shape == (4 * 4 * 512, 1)
    grid = [w.shape for w in model.generator.trainable_weights if len(w.shape) == 2]
    assert grid == [(118, 4 * 4 * 512)]
    z_hidden, y_hidden = (
        next(w.shape for w in network.trainable_weights if len(w.shape) == 2)
        for network in (model.encoder_z, model.encoder_y)
    )
    assert z_hidden == (4096, 4096) and y_hidden == (4096, 512)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_networks_see_attributes_as_minus_one_and_one(network):
    model = small()
    made = getattr(model, network)
    label = made.inputs[1]
    seen = keras.Model(label, next(x for x in made.layers if "rescaling" in x.name).output)
    np.testing.assert_array_equal(seen(tf.constant([[0.0, 1.0, 1.0]])), [[-1.0, 1.0, 1.0]])
    first = tf.zeros([2, 4]) if network == "generator" else IMAGE[:2]
    a, b = made([first, tf.constant([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])]).numpy()
    assert np.abs(a - made([first, tf.ones([2, 3])])[0]).max() > 1e-6


def test_the_latent_encoder_learns_from_generated_images_alone():
    """Its images are G's in use, its error is that of their z, and G gets no gradient."""
    model, seen = small(), []
    encoder = model.encoder_z
    model.encoder_z = lambda image, training: (
        seen.append(image) or encoder(image, training=training)
    )
    with random.scope(3):
        loss = model.encoder_z_loss(LABEL)["error"]
    with random.scope(3):
        z = model.latents(8)
    made = model(z, LABEL)
    np.testing.assert_allclose(seen[0], made, atol=1e-6)
    expected = np.mean((encoder(made, training=True) - z) ** 2)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


@pytest.mark.thorough
def test_latents_of_generated_images_are_found():
    """After 200 steps the error is far below 1, that of a guess of zeros; the images are G's."""
    keras.utils.set_random_seed(0)
    model, r = small(game_steps=1), np.random.RandomState(0)
    model.compile({player: {"learning_rate": 2e-3} for player in ("encoder_z", "encoder_y")})
    image, label = r.uniform(-1, 1, [64, 16, 16, 3]), r.randint(0, 2, [64, 3])
    batch = {"image": tf.constant(image, "float32"), "label": tf.constant(label, "float32")}
    step = list(model.graphs(batch).values())[-1]
    for k in range(1, 201):
        model.step.assign(k)
        step(batch)
    with random.scope(99):
        z = model.latents(256)
    made = model(z, tf.constant(r.randint(0, 2, [256, 3]), "float32"))
    assert float(tf.reduce_mean((model.encoder_z(made) - z) ** 2)) < 0.4


def test_the_attribute_encoder_learns_signs():
    model = small()
    model.encoder_y = lambda image, training: tf.zeros([8, 3])
    assert float(model.encoder_y_loss(IMAGE, LABEL)["error"]) == 1.0
    model.encoder_y = lambda image, training: 2.0 * LABEL - 1.0
    assert float(model.encoder_y_loss(IMAGE, LABEL)["error"]) == 0.0


def test_stages():
    """First the game alone, then the encoders alone, with their own optimizers."""
    model = small(game_steps=1)
    model.compile(run_eagerly=True)
    rates = {p: (float(o.learning_rate), o.beta_1) for p, o in model.optimizers.items()}
    assert rates == {
        "discriminator": (pytest.approx(2e-4), 0.5),
        "generator": (pytest.approx(2e-4), 0.5),
        "encoder_z": (pytest.approx(1e-4), 0.1),
        "encoder_y": (pytest.approx(1e-4), 0.1),
    }
    moved = []
    for _ in range(2):
        before = {p: [w.numpy() for w in model.weights_of(p)] for p in model.players()}
        model.train_on_batch({
            "image": tf.concat([IMAGE, IMAGE], axis=0),
            "label": tf.concat([LABEL, OTHER], axis=0),
        })  # fmt: skip
        moved.append({
            p
            for p, own in before.items()
            if any((a != w.numpy()).any() for a, w in zip(own, model.weights_of(p), strict=True))
        })  # fmt: skip
    assert moved == [{"discriminator", "generator"}, {"encoder_z", "encoder_y"}]


def test_encode_edit_and_flip():
    model = small()
    found = model.encode(IMAGE)
    y = model.encoder_y(IMAGE).numpy()
    np.testing.assert_array_equal(found["label"], (y > 0).astype("float32"))
    np.testing.assert_allclose(model.edit(IMAGE, LABEL), model(found["z"], LABEL), atol=1e-6)
    table = model.flipped(IMAGE)
    assert table.shape == (8, 4, 16, 16, 3)
    np.testing.assert_allclose(table[:, 0], model.reconstruct(IMAGE), atol=1e-6)
    changed = np.array(found["label"])
    changed[:, 1] = 1.0 - changed[:, 1]
    np.testing.assert_allclose(table[:, 2], model(found["z"], changed), atol=1e-6)


def test_samples_have_attributes_by_chance():
    """A vector of attributes is no class: not one of each in turn."""
    with random.scope(0):
        (label,) = small().condition_for(2000)
    np.testing.assert_allclose(tf.reduce_mean(label, axis=0), 0.5, atol=0.05)
    assert len(set(map(tuple, label.numpy()))) == 8
    with pytest.raises(BadInput, match="images need 2 labels|2 images need"):
        small().sample(2, labels=np.zeros([3, 3], "float32"))
