"""FashionGAN: weights of the terms, the small map, the codes, and what stays of the photograph."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.fashion_gan import CODES, FashionGAN, coded, merged, pasted


def is_white(rows, colors):
    """Real rows of the planted batch: white images, and maps of one class everywhere."""
    found = rows if rows.shape[-1] == 3 else tf.reduce_max(rows, axis=-1)
    return tf.reduce_all(found > 0.9, axis=range(1, found.shape.rank))


CONTRACT = {"is_real": is_white, "served": ["generator_1", "generator_2"]}
SMALL = {"image_shape": (32, 32, 3), "noise_dim": 4, "text_dim": 5, "text_width": 3, "width": 2}
MAPS = tf.constant(np.random.RandomState(0).randint(0, 7, [2, 32, 32]), "int32")
OTHERS = tf.constant(np.random.RandomState(1).randint(0, 7, [2, 32, 32]), "int32")
PHOTOS = tf.constant(np.random.RandomState(2).uniform(-1, 1, [2, 32, 32, 3]), "float32")
TEXTS = tf.constant(np.random.RandomState(3).uniform(-1, 1, [2, 5]), "float32")


@pytest.fixture(scope="module")
def built():
    keras.utils.set_random_seed(0)
    return FashionGAN(**SMALL)


@pytest.fixture
def model(built, monkeypatch):
    """One model for all tests; what a test replaces in it is put back."""
    for name in ("discriminator_1", "discriminator_2", "drawn", "painted"):
        monkeypatch.setattr(built, name, getattr(built, name))
    for name in ("map_weight", "distance_weight", "words"):
        monkeypatch.setattr(built, name, getattr(built, name))
    return built


def convolution(*sizes):
    """Weights of convolutions without biases: (kernel, inputs, outputs) each."""
    return sum(k * k * a * b for k, a, b in sizes)


def test_numbers_of_weights():
    """The layers of the authors' code, listed here once more, with 2 numbers for each channel
    that is normalized."""
    with without_numbers():
        model = FashionGAN()
    text = 100 * 20
    assert trainable(model.generator_1) == (
        text
        + convolution((4, 100, 1024), (4, 1024, 512), (3, 4, 64), (3, 64, 128), (4, 640, 256))
        + convolution((3, 256, 512), (3, 512, 512), (3, 512, 256))
        + convolution((4, 256, 128), (4, 128, 64), (4, 64, 7))
        + 2 * (1024 + 512 + 64 + 128 + 256 + 512 + 512 + 256 + 128 + 64)
    )
    assert trainable(model.discriminator_1) == (
        text
        + convolution((4, 7, 64), (4, 64, 128), (4, 128, 256), (3, 256, 512), (3, 512, 512))
        + convolution((3, 512, 256), (4, 256, 512), (3, 4, 64), (3, 64, 128), (4, 640, 512))
        + convolution((1, 532, 512), (4, 512, 1))
        + 2 * (128 + 256 + 512 + 512 + 256 + 512 + 128 + 512 + 20 + 512)
    )
    assert trainable(model.generator_2) == (
        text
        + convolution((4, 100, 1024), (4, 1024, 512), (4, 512, 512))
        + convolution((4, 3, 64), (4, 64, 128), (4, 128, 256), (4, 768, 512))
        + convolution((3, 512, 512), (3, 512, 512), (3, 512, 512), (3, 512, 256), (3, 256, 128))
        + convolution((4, 128, 64), (4, 64, 3))
        + 2 * (1024 + 512 + 512 + 64 + 128 + 256 + 512 + 3 * 512 + 256 + 128 + 64)
    )
    assert trainable(model.discriminator_2) == (
        text
        + 2 * convolution((4, 3, 64), (4, 64, 128), (4, 128, 256))
        + convolution(*5 * [(3, 512, 512)], (4, 512, 512), (4, 512, 1024))
        + convolution((1, 1044, 1024), (4, 1024, 1))
        + 2 * (2 * (128 + 256) + 5 * 512 + 512 + 1024 + 20 + 1024)
    )


def judged(model, scores, make):
    """D's terms where it gives these scores in turn, and what it was given."""
    seen, rest = [], list(scores)

    def discriminator(given, training):
        seen.append(given)
        return tf.fill([2, 1], rest.pop(0))

    one_hot = [tf.one_hot(x, 7) for x in (MAPS, OTHERS)]
    before = merged(MAPS), merged(OTHERS)
    with random.scope(0):
        terms = model.discriminator_loss(
            discriminator, make, TEXTS, one_hot[0], before[0], one_hot[1], before[1]
        )
    return {name: float(value) for name, value in terms.items()}, seen


def test_wrong_pairs_weigh_a_tenth(model):
    """2 ln 2 at zero logits; a wrong pair is a real map and its small map with another's text."""
    terms, seen = judged(model, (0.0, 0.0, 0.0), model.drawn)
    assert terms == pytest.approx(
        {"real": math.log(2), "wrong": 0.1 * math.log(2), "fake": 0.9 * math.log(2)}, abs=1e-6
    )
    assert sum(terms.values()) == pytest.approx(1.386294, abs=1e-5)
    for given, maps in zip(seen, (MAPS, OTHERS, MAPS), strict=True):
        np.testing.assert_array_equal(given[1], TEXTS)
        np.testing.assert_array_equal(given[2], merged(maps))
    np.testing.assert_array_equal(seen[0][0], tf.one_hot(MAPS, 7))
    np.testing.assert_array_equal(seen[1][0], tf.one_hot(OTHERS, 7))
    np.testing.assert_allclose(tf.reduce_sum(seen[2][0], axis=-1), 1.0, atol=1e-6)
    terms, _ = judged(model, (3.0, -3.0, -3.0), model.drawn)
    low = math.log1p(math.exp(-3))
    assert terms == pytest.approx({"real": low, "wrong": 0.1 * low, "fake": 0.9 * low}, abs=1e-6)


def test_generators_want_a_high_score(model):
    for score, known in ((0.0, math.log(2)), (3.0, math.log1p(math.exp(-3)))):
        model.discriminator_1 = model.discriminator_2 = lambda given, training, s=score: tf.fill(
            [2, 1], s
        )
        with random.scope(0):
            terms = model.drawer_loss(TEXTS, MAPS), model.painter_loss(TEXTS, MAPS, PHOTOS)
        for found in terms:
            assert {name: float(x) for name, x in found.items()} == pytest.approx({"fake": known})


def test_terms_of_the_authors_code(model):
    """Cross-entropy of the true class and mean absolute error, each 100 times."""
    model.map_weight = model.distance_weight = 100.0
    logits, image = tf.zeros([2, 32, 32, 7]), PHOTOS + 0.25
    model.drawn = lambda *given, training: (tf.nn.softmax(logits), logits)
    model.painted = lambda *given, training: (image, image)
    assert float(model.drawer_loss(TEXTS, MAPS)["map"]) == pytest.approx(100 * math.log(7), 1e-5)
    assert float(model.painter_loss(TEXTS, MAPS, PHOTOS)["distance"]) == pytest.approx(25, 1e-5)
    logits = 20.0 * tf.one_hot(MAPS, 7)
    assert float(model.drawer_loss(TEXTS, MAPS)["map"]) < 1e-3


def test_old_clothes_are_not_in_the_small_map():
    """Clothes, arms and legs are one class; hair and face stay apart, as means over 16x16."""
    maps = np.zeros([1, 32, 32], "int32")
    maps[0, :16, :8], maps[0, :16, 8:16], maps[0, 16:, 16:] = 1, 2, 3
    found = merged(tf.constant(maps)).numpy()
    np.testing.assert_allclose(found[0, 0, 0], [0, 0.5, 0.5, 0])
    np.testing.assert_allclose(found[0, 1, 1], [0, 0, 0, 1])
    np.testing.assert_allclose(found[0, 0, 1], [1, 0, 0, 0])
    for part in (4, 5, 6):
        np.testing.assert_array_equal(merged(tf.where(MAPS == 3, part, MAPS)), merged(MAPS))


def test_codes_of_classes_and_their_blur():
    """The code's table and its 5x5 kernel, 0.1621 in the middle; a flat map keeps its code."""
    assert np.unique(CODES, axis=0).shape == (7, 3)
    for k, code in enumerate(([2, 2, 2], [3, 2, 1], [2, 3, 1], [1, 3, 2], [1, 2, 3], [2, 1, 3])):
        flat = coded(tf.fill([1, 32, 32], k)).numpy()
        np.testing.assert_allclose(
            flat[0, 2:-2, 2:-2], np.broadcast_to(np.array(code) / 4 - 0.5, [28, 28, 3]), atol=1e-6
        )
    dot = np.zeros([1, 32, 32], "int32")
    dot[0, 16, 16] = 1  # 0.25 more than the ground in the first number
    found = coded(tf.constant(dot)).numpy()[0, 14:19, 14:19, 0] / 0.25
    known = [
        [0.0030, 0.0133, 0.0219, 0.0133, 0.0030],
        [0.0133, 0.0596, 0.0983, 0.0596, 0.0133],
        [0.0219, 0.0983, 0.1621, 0.0983, 0.0219],
    ]
    np.testing.assert_allclose(found, known + known[1::-1], atol=6e-5)


def test_hair_and_face_are_the_photographs():
    """Bit for bit, whatever is made; arms and legs go halfway to the photograph's mean."""
    made = -PHOTOS
    found = pasted(made, PHOTOS, OTHERS, MAPS).numpy()
    kept = np.isin(MAPS, (1, 2))
    np.testing.assert_array_equal(found[kept], PHOTOS.numpy()[kept])
    plain = ~kept & ~np.isin(OTHERS, (5, 6))
    np.testing.assert_array_equal(found[plain], made.numpy()[plain])
    for part in (5, 6):
        where = ~kept & (OTHERS.numpy() == part)
        for n in range(2):
            mean = PHOTOS.numpy()[n][MAPS.numpy()[n] == part].mean(axis=0)
            np.testing.assert_allclose(
                found[n][where[n]], (made.numpy()[n][where[n]] + mean) / 2, atol=1e-5
            )
    bare = tf.where(MAPS == 6, 3, MAPS)  # no arms in the photograph: nothing to go to
    arms = ~kept & (OTHERS.numpy() == 6)
    np.testing.assert_array_equal(
        pasted(made, PHOTOS, OTHERS, bare).numpy()[arms], made.numpy()[arms]
    )


def test_start_and_what_reaches_the_image(model):
    kernels = [w for w in model.trainable_variables if w.name == "kernel"]
    spread = np.std(np.concatenate([np.ravel(w) for w in kernels]))
    assert spread == pytest.approx(0.02 / 16, rel=0.05)
    for w in kernels:  # N(0, 0.00125) is next to nothing in a narrow network
        w.assign(100.0 * w)

    def made(text, seed, maps=MAPS):
        return model.redress(PHOTOS, maps, text, seed)[0].numpy()

    first = made(TEXTS, 0)
    np.testing.assert_array_equal(first, made(TEXTS, 0))
    np.testing.assert_array_equal(first, model(PHOTOS, MAPS, TEXTS))  # as any Keras model
    batch = {"image": PHOTOS, "map": MAPS, "condition": TEXTS}
    with random.scope(0):  # that of a sample grid or a metric
        np.testing.assert_array_equal(first, model.outputs(batch))
    again = made(TEXTS, None), made(TEXTS, None)
    for other in (*again, made(-TEXTS, 0), made(TEXTS, 1), made(TEXTS, 0, OTHERS)):
        assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize("number", [7, 99, -1])
def test_maps_hold_the_seven_classes(model, number):
    maps = MAPS.numpy()
    maps[1, 5, 5] = number
    rule = f"from 0 to 6; the least and greatest number are {min(number, 0)} {max(number, 6)}"
    endpoint, _ = model.endpoints()["redress"]
    with pytest.raises(BadInput, match=rule):
        endpoint(PHOTOS, maps, TEXTS, 0)
    with pytest.raises(BadInput, match=rule):
        model(PHOTOS, maps, TEXTS)


def test_sizes_and_words(model):
    with pytest.raises(BadInput, match=r"multiples of 32, not \(48, 32, 3\)"):
        FashionGAN(**SMALL | {"image_shape": (48, 32, 3)})
    with pytest.raises(BadInput, match="This FashionGAN takes embeddings"):
        model.condition_vectors(["a red shirt"])
    model.words = ["red", "shirt"]
    assert model.condition_vectors(["Red shirt!"])[0, :2].tolist() == [1, 1]
    with pytest.raises(BadInput, match="does not know 'hat'"):
        model.condition_vectors(["red hat"])
