"""EBGAN: the pull-away term and the margin by numbers, both energies, D alone at first."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.ebgan import EBGAN


def autoencode(image, rebuilt, score):
    """A reconstruction whose energy falls with the score: errors of 1 at 2, of 5 at -2."""
    return image + 3.0 - score


CONTRACT = {
    "games": [
        {"energy": "mean", "margin": 3.0},
        {"energy": "sum", "margin": 10.0 * 16 * 16 * 3},
    ],
    "replace_score": autoencode,
    "like_one_device": {"pull_away_weight": 0.0},  # it looks at all pairs of a batch
    "rate": 1e-2,
    "served": ["generator", "discriminator"],
}


def small(**settings):
    return EBGAN(**{
        "image_shape": (16, 16, 1), "latent_dim": 4, "width": 4, "discriminator_width": 4,
        "energy": "sum", "margin": 10.0,
    } | settings)  # fmt: skip


def test_pull_away_of_known_codes():
    """Orthonormal rows: 0. Identical ones, and rows of both signs: 1. The length says nothing."""
    model = small()
    v = tf.random.normal([1, 16])
    for code, expected in (
        (tf.eye(6, 16), 0.0),
        (tf.repeat(v, 6, axis=0), 1.0),
        (v * tf.constant([[1.0], [-1.0]] * 3), 1.0),
        (tf.repeat(tf.eye(2, 16), 3, axis=0), 0.4),  # 12 of 30 ordered pairs are alike
    ):
        for scale in (1.0, 7.0):
            assert float(model.pull_away(scale * code)) == pytest.approx(expected, abs=1e-5)


def test_pull_away_is_the_mean_over_pairs():
    """Against the formula with loops; a gradient that has nothing along the code itself."""
    code = tf.random.normal([5, 16])
    s, pairs = code.numpy(), []
    for i in range(5):
        for j in range(5):
            if i != j:
                cosine = s[i] @ s[j] / (np.linalg.norm(s[i]) * np.linalg.norm(s[j]))
                pairs.append(cosine**2)
    with tf.GradientTape() as tape:
        tape.watch(code)
        found = small().pull_away(code)
    assert float(found) == pytest.approx(np.sum(pairs) / (5 * 4), rel=1e-4)
    gradient = tape.gradient(found, code).numpy()
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose((gradient * s).sum(axis=1), 0.0, atol=1e-6)


def test_energy_of_each_image():
    """Errors of 0.5 and of 1 in all of 256 pixels: means 0.25 and 1, sums 64 and 256."""
    for energy, expected in (("mean", [0.25, 1.0]), ("sum", [64.0, 256.0])):
        model = small(energy=energy, margin=1.0)
        code = tf.random.normal([2, 3])
        model.discriminator = lambda image, training, code=code: (
            image + tf.reshape([0.5, -1.0], [2, 1, 1, 1]),
            code,
        )
        found, same = model.judge(tf.random.normal([2, 16, 16, 1]))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        np.testing.assert_array_equal(same, code)


def discriminator_terms(real_energy, fake_energy):
    """D's loss at given energies of two images each, and its gradients by these energies."""
    model = small()
    energies = [tf.constant(e) for e in (real_energy, fake_energy)]
    answers = iter(energies)
    model.judge = lambda image: (next(answers), None)
    with tf.GradientTape() as tape, random.scope(0):
        tape.watch(energies)
        terms = model.discriminator_loss(tf.zeros([2, 16, 16, 1]))
        loss = tf.add_n(list(terms.values()))
    return float(loss), tape.gradient(loss, energies)


def test_the_margin():
    """E(x) = 0.3 and m = 10: fakes of energy 4 give 6.3; fakes of 12 give 0.3 and no gradient."""
    loss, (real, fake) = discriminator_terms([0.3, 0.3], [4.0, 4.0])
    assert loss == pytest.approx(6.3, abs=1e-5)
    np.testing.assert_allclose(real, [0.5, 0.5])
    np.testing.assert_allclose(fake, [-0.5, -0.5])
    loss, (real, fake) = discriminator_terms([0.3, 0.3], [12.0, 12.0])
    assert loss == pytest.approx(0.3, abs=1e-6)
    np.testing.assert_array_equal(fake, [0.0, 0.0])
    np.testing.assert_allclose(real, [0.5, 0.5])


def test_each_image_has_its_own_margin():
    """Energies of 4 and 14 at m = 10: (6 + 0) / 2, where the hinge of the mean would be 1."""
    loss, (_, fake) = discriminator_terms([0.0, 0.0], [4.0, 14.0])
    assert loss == pytest.approx(3.0, abs=1e-6)
    np.testing.assert_array_equal(fake, [-0.5, 0.0])


def test_pull_away_is_none_of_the_terms_of_d():
    """D has the same loss at any weight of it, G has not."""
    model, found = small(), []
    for weight in (0.0, 1.0):
        model.pull_away_weight = weight
        with random.scope(0):
            losses = model.discriminator_loss(tf.zeros([4, 16, 16, 1])), model.generator_loss(4)
        found.append([float(tf.add_n(list(terms.values()))) for terms in losses])
    (d, g), (same, other) = found
    assert d == same and other > g + 1e-3


def test_generator_makes_low_energies_and_different_codes():
    for weight, pull_away in ((0.0, None), (0.1, 0.04)):
        model = small(pull_away_weight=weight)
        code = tf.repeat(tf.eye(2, 16), 3, axis=0)
        seen = []
        model.judge = lambda image, seen=seen, code=code: (
            seen.append(image) or tf.range(6.0),
            code,
        )
        with random.scope(0):
            terms = {name: float(value) for name, value in model.generator_loss(6).items()}
        assert terms["fake"] == pytest.approx(2.5)
        assert terms.get("pull_away") == (pull_away and pytest.approx(pull_away, abs=1e-5))
        assert seen[0].shape == (6, 16, 16, 1)


def test_codes_are_those_of_the_encoder_on_fakes():
    """The pull-away term has a gradient in G; the code is D's last map before the decoder."""
    model = small(pull_away_weight=1.0)
    values = [w.value for w in model.generator.trainable_variables]
    with tf.GradientTape() as tape, random.scope(0):
        tape.watch(values)
        term = model.generator_loss(4)["pull_away"]
    assert max(np.abs(g).max() for g in tape.gradient(term, values)) > 1e-6
    _, code = model.discriminator(tf.random.normal([3, 16, 16, 1]))
    flatten, last = (
        [layer for layer in model.discriminator.layers if isinstance(layer, kind)][-1]
        for kind in (keras.layers.Flatten, keras.layers.LeakyReLU)
    )
    assert code.shape == (3, 8 * 8 * 4) and flatten.input is last.output


def numbers(network):
    return [w.numpy() for w in network.weights]


def test_d_trains_alone_before_the_game():
    """In the first stage D lowers the energy of real images, and G stands still; then both move."""
    model = small(pretrain_steps=2)
    model.compile(run_eagerly=True)
    assert model.stage_steps == (2,)
    images = {"image": tf.random.uniform([12, 16, 16, 1], -1, 1)}
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(4).repeat()
    before, judged = numbers(model.generator), numbers(model.discriminator)
    logs = model.fit(dataset, steps_per_epoch=2, verbose=0, shuffle=False).history
    assert set(logs) == {"discriminator/real"}
    for a, b in zip(before, numbers(model.generator), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not all(map(np.array_equal, judged, numbers(model.discriminator)))
    logs = model.fit(dataset, steps_per_epoch=1, verbose=0, shuffle=False).history
    assert set(logs) == {
        "discriminator/real", "discriminator/fake", "generator/fake", "generator/pull_away",
    }  # fmt: skip
    assert not all(map(np.array_equal, before, numbers(model.generator)))
    real = tf.random.uniform([4, 16, 16, 1], -1, 1)
    with random.scope(0):
        game = float(model.discriminator_loss(real)["real"])
    assert float(model.pretraining_loss(real)["real"]) == pytest.approx(game) and game > 0
    assert small().stage == 1  # without pre-training the game begins at once


def test_real_and_fake_batches_are_normalized_apart():
    model = small(image_shape=(32, 32, 1))
    real, terms = tf.random.normal([4, 32, 32, 1]), []
    for gray in (-1.0, 1.0):
        model.generator = lambda z, training, gray=gray: tf.fill([len(z), 32, 32, 1], gray)
        with random.scope(0):
            terms.append(model.discriminator_loss(real))
    assert float(terms[0]["real"]) == float(terms[1]["real"])


def test_reconstruct():
    model = small()
    image = np.random.uniform(-1, 1, [9, 16, 16, 1]).astype("float32")
    back = model.reconstruct(image)
    assert back.shape == image.shape and np.abs(back).max() <= 1
    with random.scope(0):
        picture = model.preview({"image": image})
    assert picture.shape == (64, 16, 16, 1)
    np.testing.assert_array_equal(picture[:8], image[:8])
    for k in (0, 16, 32, 48):
        rebuilt = model.reconstruct(picture[k : k + 8])
        np.testing.assert_allclose(picture[k + 8 : k + 16], rebuilt, atol=1e-5)


def count(network):
    return sum(int(np.prod(w.shape)) for w in network.trainable_variables)


def test_setting_for_faces():
    """DCGAN's G with 1024, 512, 256 and 128 channels; D from 64x64 to a grid of 8x8 and back."""
    model = EBGAN()
    generator = 100 * 16384 + 2 * 1024 + 2 * (512 + 256 + 128)
    generator += 16 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    assert count(model.generator) == generator
    there = 16 * (3 * 64 + 64 * 128 + 128 * 256) + 2 * (128 + 256)
    back = 16 * (256 * 128 + 128 * 64 + 64 * 3) + 2 * (128 + 64)
    assert count(model.discriminator) == there + back
    rebuilt, code = model.discriminator.output
    assert rebuilt.shape[1:] == (64, 64, 3) and code.shape[1:] == (8 * 8 * 256,)
    assert (model.energy, model.margin, model.pull_away_weight) == ("sum", 20.0, 0.1)
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)
    with random.scope(0):
        z = model.latents(4096).numpy()
    assert z.std() == pytest.approx(1.0, abs=0.02) and np.abs(z).max() > 3


@pytest.mark.parametrize("shape, side", [((32, 32, 1), 8), ((128, 128, 3), 8), ((28, 28, 1), 14)])
def test_one_more_stage_for_each_factor_of_two(shape, side):
    model = EBGAN(image_shape=shape, latent_dim=4, width=1, discriminator_width=1)
    rebuilt, code = model.discriminator.output
    widest = shape[0] // side // 2
    assert rebuilt.shape[1:] == shape and code.shape[1] == side * side * widest


def test_an_unknown_energy_is_refused():
    with pytest.raises(BadInput, match="'mean'"):
        small(energy="maen")


def test_a_margin_that_no_image_reaches_is_refused():
    assert small(energy="mean", margin=3.9).margin == 3.9
    for margin in (4.0, 20.0):
        with pytest.raises(BadInput, match=f"at most 4.0, not above a margin of {margin}"):
            small(energy="mean", margin=margin)


def test_one_code_has_nothing_to_be_pulled_away_from():
    code = tf.random.normal([1, 16])
    with tf.GradientTape() as tape:
        tape.watch(code)
        found = small().pull_away(code)
    assert float(found) == 0.0
    np.testing.assert_array_equal(tape.gradient(found, code), 0.0)
