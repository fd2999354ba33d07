"""Inversion from an encoder that begins as D, and repainting."""

import pathlib
import runpy

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgans import images, latents
from tfgans.data.single import read
from tfgans.errors import BadInput
from tfgans.latents.inversion import Encoder, Inversion, Repaint, score, trunk_of
from tfgans.models import DCGAN, SAGAN, SNGAN, StyleGAN2

TOOLS = pathlib.Path(__file__).parents[2] / "tools"


def dcgan():
    keras.utils.set_random_seed(0)
    return DCGAN(image_shape=(16, 16, 1), latent_dim=4, width=4)


def numbers(network):
    return [w.numpy() for w in network.weights]


@pytest.fixture
def linear(linear_space):
    """G(z) = A z with 48 pixels and 4 numbers in z, which `Space.ws` gives to its only layer."""
    space = linear_space(np.random.RandomState(0).randn(1, 48, 4), [4, 4, 3])
    space.ws = lambda z: tf.convert_to_tensor(z)[:, None]
    return space


def identity(images):
    return [images]


def test_the_trunk_begins_as_the_discriminator():
    """Its features, up to the last linear layer, are D's bit for bit; the weights are its own."""
    model = dcgan()
    for w in model.discriminator.weights:
        w.assign_add(0.1 * tf.random.normal(w.shape))
    image = tf.random.normal([3, 16, 16, 1])
    last = model.discriminator.layers[-1]
    trunk = trunk_of(model)
    expected = keras.Model(model.discriminator.input, last.input)(image, training=False)
    np.testing.assert_array_equal(trunk(image, training=False), expected)
    for w in trunk.weights:
        w.assign(tf.zeros_like(w))
    again = keras.Model(model.discriminator.input, last.input)(image, training=False)
    np.testing.assert_array_equal(again, expected)


def small_sagan(num_classes):
    return SAGAN(
        image_shape=(16, 16, 1),
        latent_dim=4,
        num_classes=num_classes,
        generator_channels=(8, 8, 8),
        discriminator_channels=(4, 8, 8),
        attention=8,
    )


def test_trunks_of_conditional_discriminators_take_the_image_alone():
    model = small_sagan(3)
    trunk = trunk_of(model)
    image, label = tf.random.normal([2, 16, 16, 1]), tf.one_hot([1, 1], 3)
    features = trunk(image, training=False)
    head = model.discriminator.get_layer("psi")
    embedding = model.discriminator.get_layer("embedding")
    by_hand = head(features)[:, 0] + tf.reduce_sum(embedding(label) * features, axis=1)
    found = score(latents.Space(model, 1), image)
    np.testing.assert_allclose(found, model.discriminator([image, label])[:, 0], atol=1e-6)
    np.testing.assert_allclose(by_hand, found, atol=1e-4)


def test_a_discriminator_that_does_not_end_so():
    model = StyleGAN2(image_shape=(8, 8, 1), latent_dim=4, style_dim=4, mapping_layers=1)
    with pytest.raises(BadInput, match="tfgans project"):
        Encoder(latents.Space(model))


def test_the_encoder_learns_and_the_networks_stay():
    model = dcgan()
    for w in model.generator.trainable_variables:  # an image that shows its z
        if w.name == "kernel":
            w.assign(10.0 * w)
    before = numbers(model.generator) + numbers(model.discriminator)
    encoder = Encoder(latents.Space(model), steps=300, batch_size=16)
    moving = [w for w in encoder.network.weights if "moving" in w.name]
    first, seen = [w.numpy() for w in moving], []
    z = np.random.RandomState(1).uniform(-1, 1, [64, 4]).astype("float32")
    at_first = np.mean((encoder(model(z)) - z) ** 2)
    encoder.train(lambda step, terms: seen.append(terms), every=100)
    for old, new in zip(
        before, numbers(model.generator) + numbers(model.discriminator), strict=True
    ):
        np.testing.assert_array_equal(old, new)
    for old, w in zip(first, moving, strict=True):  # normalization as in inference
        np.testing.assert_array_equal(old, w)
    code = encoder(model(z))
    assert moving and len(seen) == 3 and seen[-1].keys() == {"z", "image"}
    assert np.mean((code - z) ** 2) < 0.1 < at_first


def test_a_linear_generator_is_inverted_by_least_squares(linear):
    target = np.random.RandomState(2).randn(2, 4, 4, 3)
    search = Inversion(linear, target, features=identity, steps=600).run(every=600)
    matrix = np.asarray(linear.matrices[0])
    expected = np.linalg.lstsq(matrix, target.reshape(2, 48).T, rcond=None)[0].T
    np.testing.assert_allclose(search.z, expected, atol=2e-3)


def test_the_search_begins_at_the_code(linear):
    target = np.zeros([2, 4, 4, 3])
    code = tf.constant([[1.0, 2.0, 3.0, 4.0]] * 2)
    search = Inversion(linear, target, encoder=lambda image: code)
    np.testing.assert_array_equal(search.z, code)
    assert search.steps == 200
    assert float(search.optimizer.learning_rate) == pytest.approx(0.015)
    assert float(Inversion(linear, target).optimizer.learning_rate) == pytest.approx(0.075)


def test_without_paint_the_image_stays(linear):
    """From elsewhere too: |z - z0|^2 alone leads back to z0."""
    z = np.random.RandomState(3).randn(2, 4).astype("float32")
    painted, none = np.ones([2, 4, 4, 3]), np.zeros([2, 4, 4, 1])
    search = Repaint(linear, painted, none, z, keep=0.1, features=identity, steps=400)
    search.z.assign(z + 0.5)
    search.run(every=400)
    np.testing.assert_allclose(search.z, z, atol=5e-3)


def test_paint_everywhere_is_a_plain_inversion(linear):
    target = np.random.RandomState(2).randn(1, 4, 4, 3)
    z = np.zeros([1, 4], "float32")
    everywhere = np.ones([1, 4, 4, 1])
    search = Repaint(linear, target, everywhere, z, keep=0.0, features=identity, steps=1500)
    found = search.run(every=1500).z
    matrix = np.asarray(linear.matrices[0])
    expected = np.linalg.lstsq(matrix, target.reshape(48), rcond=None)[0]
    np.testing.assert_allclose(found[0], expected, atol=5e-3)


def test_what_is_not_painted_does_not_count(linear):
    target = np.random.RandomState(2).randn(1, 4, 4, 3)
    mask, z = np.zeros([1, 4, 4, 1]), np.zeros([1, 4], "float32")
    mask[:, :2] = 1.0
    one = Repaint(linear, target, mask, z, features=identity)
    other = Repaint(linear, target + 9.0 * (1.0 - mask), mask, z, features=identity)
    image = tf.random.normal([1, 4, 4, 3])
    expected = np.mean((image - target)[:, :2] ** 2)
    for search in (one, other):
        assert float(search.loss(image)[0]) == pytest.approx(expected, rel=1e-4)


def test_realism_is_the_score_of_d():
    model = SNGAN(
        image_shape=(16, 16, 1),
        latent_dim=4,
        generator_channels=(8, 8, 8),
        discriminator_channels=(4, 8),
    )
    space = latents.Space(model)
    z, mask = np.ones([2, 4], "float32"), np.zeros([2, 16, 16, 1])
    image = tf.random.normal([2, 16, 16, 1])
    search = Repaint(space, image, mask, z, realism=2.0)
    expected = -2.0 * model.discriminator(image, training=False)[:, 0]
    np.testing.assert_allclose(search.loss(image), expected, atol=1e-5)


# The tool.


def tiles(path):
    """The images of one row of squares, [n, side, side] from 0 to 255."""
    with Image.open(path) as file:
        grid = np.asarray(file.convert("L"), "float32")
    return np.stack(np.split(grid, grid.shape[1] // grid.shape[0], axis=1))


@pytest.mark.parametrize("turned", [False, True])
def test_the_mask_lies_on_the_strokes(turned, tmp_path):
    """In a transparent picture that is not square, and in one that its EXIF turns."""
    paint, exif = np.zeros([16, 16 if turned else 32, 4], "uint8"), Image.Exif()
    if turned:
        paint[:4] = 255, 0, 0, 255
        exif[0x0112] = 6
    else:
        paint[4:12, 10:22] = 255, 0, 0, 255
    Image.fromarray(paint).save(tmp_path / "strokes.png", exif=exif)
    painted = read(tmp_path / "strokes.png", (16, 16, 3))[None]
    mask = runpy.run_path(str(TOOLS / "repaint.py"))["mask_of"](
        tmp_path / "strokes.png", painted, painted
    )
    np.testing.assert_array_equal(mask[..., 0], painted[..., 1] < 0)  # the rest is white
    assert 0 < mask.sum() < 256


@pytest.mark.thorough
def test_each_class_has_an_encoder_of_its_own(tool, tmp_path):
    model = small_sagan(2)
    model.save(tmp_path / "small.keras")
    images.save_grid(np.zeros([1, 16, 16, 1], "float32"), tmp_path / "picture.png", 1)
    for k in (0, 1):
        words = ("--label", k, "--steps", 1, "--encoder-steps", 1)
        done = tool(tmp_path, "repaint", "small.keras", "picture.png", *words)
        assert done.returncode == 0 and "encoder, step 1 of 1" in done.stdout, done.stderr


@pytest.mark.thorough
def test_repaint_finds_a_picture_and_follows_the_strokes(tool, tmp_path):
    model = dcgan()
    for w in model.generator.trainable_variables:  # an image that shows its z
        if w.name == "kernel":
            w.assign(6.0 * w)
    model.save(tmp_path / "small.keras")
    space = latents.Space(model)
    picture, wish = space.images(space.of_seeds([3, 4]))
    images.save_grid(picture[None], tmp_path / "picture.png", 1)
    # The upper left quarter of another image, on nothing.
    paint = np.zeros([16, 16, 4], "uint8")
    paint[:8, :8, :3] = np.rint(127.5 * (wish[:8, :8] + 1))
    paint[:8, :8, 3] = 255
    Image.fromarray(paint).save(tmp_path / "strokes.png")
    args = ("repaint", "small.keras", "picture.png", "--steps", 40, "--keep", 0)
    done = tool(tmp_path, *args, "--strokes", "strokes.png", "--encoder-steps", 20)
    assert done.returncode == 0 and "encoder, step 20 of 20" in done.stdout, done.stderr
    folder = tmp_path / "samples" / "small-repaint"
    given, answered, found = tiles(folder / "inversion.png")
    np.testing.assert_allclose(given, 127.5 * (picture[..., 0] + 1), atol=1.0)
    assert np.square(found - given).mean() < 0.5 * np.square(answered - given).mean()
    before, shown, after = tiles(folder / "repaint.png")
    np.testing.assert_array_equal(before, found)
    inside = np.s_[:8, :8]
    np.testing.assert_array_equal(shown[inside], paint[..., 0][inside])
    outside = np.ones([16, 16], bool)
    outside[inside] = False
    np.testing.assert_array_equal(shown[outside], found[outside])
    far = [np.square(x - shown)[inside].mean() for x in (after, found)]
    assert far[0] < 0.5 * far[1]

    # A painted copy of the picture; the encoder of before is used again.
    copy = np.rint(given).astype("uint8")
    Image.fromarray(copy).save(tmp_path / "copy.png")
    done = tool(tmp_path, *args, "--strokes", "copy.png")
    assert done.returncode and "Nothing is painted in copy.png" in done.stderr
    copy[4:6, 2:9] += 100  # from 255 on it begins again at 0
    Image.fromarray(copy).save(tmp_path / "copy.png")
    done = tool(tmp_path, *args, "--strokes", "copy.png", "--steps", 1)
    assert done.returncode == 0 and "encoder, step" not in done.stdout, done.stderr
    before, shown, _ = tiles(folder / "repaint.png")
    changed = np.abs(shown - before) > 0
    assert changed[4:6, 2:9].all() and changed.sum() == 14
