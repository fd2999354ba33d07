from types import SimpleNamespace

import numpy as np
import pytest

from tfgans import data
from tfgans.config import Config
from tfgans.data import Data
from tfgans.data.images import Reader, open_source
from tfgans.data.synthetic import SyntheticImages, draw_vertices, polygons, rasterize
from tfgans.errors import BadInput
from tfgans.models import get


def half_planes(vertices, side, first, shift):
    """Sub-pixels strictly on the inner side of every edge, counted in windows of 8 x 8."""
    points = (np.arange(first, first + 8 * side) + shift) / 8
    x, y = points[:, None], points[None, :]
    inside = (x >= 0) & (y >= 0)
    for a, b in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        inside &= (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) > 0
    return 64 - inside.reshape(side, 8, side, 8).sum(axis=(1, 3))


def centroids(images):
    ink = 1 - images / 64
    index = np.arange(images.shape[1])
    area = ink.sum(axis=(1, 2))
    return (ink.sum(axis=2) * index).sum(axis=1) / area, (ink.sum(axis=1) * index).sum(
        axis=1
    ) / area


def test_figures_of_the_study():
    images = polygons(200)
    assert images.dtype == np.uint8 and images.shape == (200, 28, 28)
    values = images / 64
    area = (1 - values).sum(axis=(1, 2))
    assert values.mean() == pytest.approx(0.86338, abs=5e-6)
    assert area.mean() == pytest.approx(107.11, abs=0.005)
    assert area.min() == pytest.approx(21.69, abs=0.005)
    assert area.max() == pytest.approx(141.95, abs=0.005)
    assert np.isin(values, (0, 1)).mean() == pytest.approx(0.9298, abs=5e-5)
    flat = values.reshape(200, -1)
    distances = ((flat[:, None] - flat) ** 2).sum(axis=-1)
    others = distances[~np.eye(200, dtype=bool)].reshape(200, 199)
    assert others.min(axis=1).mean() == pytest.approx(7.66, abs=0.005)
    assert others.mean() == pytest.approx(62.20, abs=0.01)
    assert polygons(200, n_vertices=4).mean() / 64 == pytest.approx(0.7609, abs=5e-5)


def test_centroid_shows_which_subpixels_a_pixel_averages():
    for centroid in centroids(polygons(200)):
        assert np.abs(centroid - 13.9375).max() < 0.04  # 13.5625 with aligned cells
    for centroid in centroids(polygons(200, faithful=False)):
        assert np.abs(centroid - 13.5).max() < 0.04


@pytest.mark.parametrize("n_vertices", [3, 4, 7])
def test_rasterizer_is_the_strict_half_plane_test(n_vertices):
    vertices = draw_vertices(20, 28, n_vertices, seed=1)
    faithful, plain = rasterize(vertices, 28), rasterize(vertices, 28, faithful=False)
    for i, polygon in enumerate(vertices):
        np.testing.assert_array_equal(faithful[i], half_planes(polygon, 28, -3, 0))
        np.testing.assert_array_equal(plain[i], half_planes(polygon, 28, 0, 0.5))


def test_rotation_and_angles():
    def first_angles(vertices):
        offsets = vertices - vertices.mean(axis=1, keepdims=True)
        return np.degrees(np.arctan2(offsets[..., 1], offsets[..., 0]))[:, 0]

    assert np.ptp(np.sin(np.radians(first_angles(draw_vertices(500, 28, 3, 0))))) < 1.7
    quarters = np.histogram(first_angles(draw_vertices(500, 28, 3, 0, False)), 4, (-180, 180))[0]
    assert quarters.min() > 80  # a full turn
    # without the quirks no angle seen from the middle of the circle is below 20 degrees
    sides = []
    for faithful in (True, False):
        vertices = draw_vertices(2000, 1, 3, 0, faithful)
        lengths = np.linalg.norm(vertices - np.roll(vertices, 1, axis=1), axis=-1)
        sides.append(np.degrees(2 * np.arcsin(lengths / 0.75)).min())  # chord -> angle
    assert 10 < sides[0] < 13 and 20 < sides[1] < 23


def test_seed_and_prefix():
    assert np.array_equal(polygons(5, seed=3), polygons(9, seed=3)[:5])
    assert not np.array_equal(polygons(5, seed=3), polygons(5, seed=4))


def test_source_is_the_study_at_its_size():
    source = SyntheticImages((28, 28, 1))
    assert len(source) == 2**14 and source.value_range == (0, 64) and source.labels is None
    np.testing.assert_array_equal(source.read(range(50))[..., 0], polygons(50))
    np.testing.assert_array_equal(source.read(17)[..., 0], polygons(18)[17])


def test_source_in_other_shapes():
    source = SyntheticImages((16, 24, 4))
    image = source.read(3)
    assert source.shape == image.shape == (16, 24, 4)
    np.testing.assert_array_equal(image[:, 4:20, 1], polygons(4, side=16)[3])
    assert (image[:, :4] == 64).all() and (image[:, 20:] == 64).all()  # white ground
    assert (image[..., 3] == 64).all()  # opaque
    assert (image[..., 0] == image[..., 2]).all()
    assert SyntheticImages((20, 10, 3)).read([0, 1]).shape == (2, 20, 10, 3)


def test_classes_are_numbers_of_vertices():
    source = SyntheticImages((28, 28, 1), num_classes=3, count=301)
    assert source.num_classes == 3 and source.labels.dtype == np.int32
    for k in range(3):
        images = source.read(np.flatnonzero(source.labels == k))[..., 0]
        np.testing.assert_array_equal(images, polygons(len(images), n_vertices=3 + k, seed=k))


def test_many_classes():
    source = SyntheticImages((32, 32, 1), num_classes=100, count=200)
    area = (64 - source.read(range(200))).sum(axis=(1, 2, 3)) / 64
    # a triangle covers less than a 102-gon, which is nearly the circle of diameter 24
    assert area[0] < 200 and area[99] == pytest.approx(np.pi * 12**2, rel=0.01)


def test_kinds_of_polygons_without_labels():
    """`data.polygons` is for models without classes; the pictures are those with labels."""
    settings = Config.load("bigbigan", "tiny", ["data.polygons=3"])
    source = data.resolve(settings, get("bigbigan"))
    labeled = SyntheticImages((16, 16, 3), 3)
    np.testing.assert_array_equal(source.read(np.arange(9)), labeled.read(np.arange(9)))
    model = SimpleNamespace(
        image_shape=(16, 16, 3), num_classes=0, stage_shape=lambda stage: (16, 16, 3)
    )
    assert list(Reader(model, source, settings.data, 0).signature) == ["image"]
    assert open_source(Data("synthetic"), (16, 16, 1)).labels is None
    assert open_source(Data("synthetic", polygons=3), (16, 16, 1), 2).labels.max() == 1
    with pytest.raises(BadInput, match="data.polygons must be a finite number of 1 or more"):
        Config.load("bigbigan", "tiny", ["data.polygons=0"])
