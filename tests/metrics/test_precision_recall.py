"""The searches for polygons and latents, in cases with a known answer."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.data.synthetic import polygons, rasterize
from tfgans.errors import BadInput
from tfgans.metrics import manifold_precision_recall
from tfgans.metrics.precision_recall import (
    distance_to_generator,
    distance_to_polygons,
    in_family,
    soft_polygons,
)


def triangles(count, seed=5, faithful=False):
    return polygons(count, seed=seed, faithful=faithful)[..., None] / 64


@pytest.fixture(scope="module")
def distances():
    """Triangles, triangles with pixel noise of three strengths, an empty picture, noise alone."""
    rng = np.random.default_rng(0)
    clean, study = triangles(6), triangles(6, faithful=True)
    sets = {"clean": clean, "study": study, "empty": np.ones_like(clean[:2])}
    for deviation in (0.02, 0.03, 0.05):
        sets[deviation] = clean + deviation * rng.normal(size=clean.shape)
    found = distance_to_polygons(np.concatenate(list(sets.values())), starts=2)
    parts = np.split(found, np.cumsum([len(images) for images in sets.values()])[:-1])
    return dict(zip(sets, parts, strict=True))


@pytest.mark.thorough
def test_triangles_are_found(distances):
    assert distances["clean"].max() < 0.05
    assert distances["study"].max() < 0.05  # drawn with the quirks of the study's code


def test_noise_is_measured(distances):
    """The distance is 784 deviation^2 minus the part that the six coordinates can fit."""
    for deviation, expected in ((0.02, 0.315), (0.03, 0.690), (0.05, 1.92)):
        assert distances[deviation].mean() == pytest.approx(expected, rel=0.05)
    assert (distances[0.03] < 0.75).mean() > 0.8 and (distances[0.05] > 0.75).all()


def test_an_empty_picture_is_no_polygon(distances):
    assert (distances["empty"] > 0.75).all()


def test_the_family():
    inside = np.array([[[4.0, 4], [20, 5], [10, 20]]])
    assert in_family(inside, 28) and in_family(inside[:, ::-1], 28)
    assert not in_family(inside - 6, 28)  # beyond the border
    assert not in_family(0.05 * inside + 10, 28)  # too small
    dart = np.array([[[4.0, 4], [20, 4], [9, 9], [4, 20]]])
    assert not in_family(dart, 28)


def test_soft_polygons_sharpen_to_the_exact_ones():
    corners = np.array([[[4.0, 4], [22, 6], [9, 21]]])
    exact = rasterize(corners, 28, faithful=False) / 64
    soft = soft_polygons(tf.constant(corners, "float32"), 28, 0.08).numpy()
    assert np.square(soft - exact).sum() < 1.0 and np.abs(soft - exact).max() < 0.4
    mirrored = soft_polygons(tf.constant(corners[:, ::-1], "float32"), 28, 0.08).numpy()
    np.testing.assert_allclose(mirrored, soft, atol=1e-5)  # in either order of the boundary


def draw(z):
    """A generator that is the rasterizer: z [n, 6] to three vertices around the middle."""
    base = tf.constant([[10.0, 7], [5, 10], [4, 3]])
    return soft_polygons(base + tf.reshape(z, [-1, 3, 2]), 14, 0.1)[..., None]


def normal(n):
    return random.normal([n, 6])


@pytest.mark.thorough
def test_recall_of_the_rasterizer_itself_and_of_a_constant():
    z = tf.constant(np.random.default_rng(0).normal(size=[6, 6]), "float32")
    test_images = draw(z).numpy()
    assert (distance_to_generator(draw, normal, test_images, starts=2) < 0.75).all()

    def collapsed(z):
        return draw(0 * z)

    result = manifold_precision_recall(collapsed(z), collapsed, normal, test_images, betas=(1, 8))
    assert result == {"precision": 1.0, "recall": 0.0, "f1": 0.0, "f8": 0.0}


def test_wrong_images_are_refused():
    with pytest.raises(BadInput, match="square"):
        distance_to_polygons(np.zeros([2, 28, 28, 3]))
