"""Edges and their smoothing: what stays bit for bit, how far a blur reaches, the blur itself."""

import numpy as np
import pytest
from stand_in import StandIn

from tfgans.config import Data
from tfgans.data import batches, signature
from tfgans.data.edges import canny, smoothed
from tfgans.data.scenes import SyntheticCartoons
from tfgans.data.unpaired import Domains


def step(height=12, width=20, low=-1.0, high=1.0):
    """Dark columns, then bright ones."""
    image = np.full([height, width, 3], low, "float32")
    image[:, width // 2 :] = high
    return image


def gray(image):
    return (image[..., 0] + 1) * 127.5


@pytest.mark.parametrize("value", [-1.0, -0.3, 0.123, 1.0])
def test_an_image_of_one_color_is_returned_bit_for_bit(value):
    image = np.full([9, 7, 3], value, "float32")
    np.testing.assert_array_equal(smoothed(image), image)


@pytest.mark.parametrize("turn", [False, True])
def test_a_step_changes_near_the_edge_only(turn):
    image = step()
    image = image.transpose(1, 0, 2) if turn else image
    changed = np.abs(smoothed(image) - image).max(axis=2) > 0
    changed = changed.T if turn else changed
    columns = np.flatnonzero(changed.any(axis=0))
    assert len(columns) >= 1 and (np.abs(columns + 0.5 - 10) <= 5).all()
    assert changed[:, columns].all()


def test_the_blur_is_that_of_five_pixels():
    """Columns beside a step from 0 to 1: sums of 1, 4, 6, 4, 1 of 16."""
    row = smoothed(step(low=0.0))[5, :, 0]
    np.testing.assert_allclose(row[7:13], [0, 1 / 16, 5 / 16, 11 / 16, 15 / 16, 1], atol=1e-6)


def test_two_thresholds():
    """A slope of 100 is no edge; one of 101 to 200 is one where it touches a steeper one."""
    for difference, found in ((25, False), (26, False), (50, False), (51, True)):
        image = np.zeros([8, 12])
        image[:, 6:] = difference
        assert canny(image).any() == found  # Sobel gives four times the difference
    image = np.zeros([16, 12])
    image[:, 6:] = 30
    image[8:, 6:] = 60
    edges = canny(image)
    assert edges[1:8].any(axis=1).all() and edges[9:15].any(axis=1).all()
    assert not canny(image[:8]).any()


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0, 3.0, -0.5, -2.0])
def test_edges_are_thin_lines_in_all_directions(slope):
    y, x = np.mgrid[:32, :32] - 15.5
    edges = canny(np.where(x > slope * y + 0.1, 200.0, 20.0))
    places = np.argwhere(edges) - 15.5
    distance = np.abs(places[:, 1] - slope * places[:, 0]) / np.hypot(1, slope)
    assert distance.max() < 1.6
    length = 32 * np.hypot(1, slope) if abs(slope) < 1 else 32 * np.hypot(1, 1 / slope)
    assert 0.6 * length < len(places) < 2.2 * length


def test_cartoons_lose_their_outlines_and_keep_their_surfaces():
    source = SyntheticCartoons((48, 48, 3), True)
    for i in range(4):
        image = (source.read(i) / 127.5 - 1).astype("float32")
        blurred = smoothed(image)
        edges, same = canny(gray(image)), (blurred == image).all(axis=2)
        assert not same[edges].any() and same.mean() > 0.3
        slopes = [np.abs(np.diff(x, axis=1)).max() for x in (image, blurred)]
        assert slopes[1] < 0.6 * slopes[0]


def model(**settings):
    return StandIn(image_shape=(16, 16, 3), data_kind="unpaired", **settings)


def test_the_pipeline_makes_them_of_the_cartoons_that_it_shows():
    """After crop and mirror, of the second domain, and only for a model that asks for them."""
    domains = Domains(SyntheticCartoons((20, 20, 3), False), SyntheticCartoons((20, 20, 3), True))
    config = Data(batch_size=3, flip=True, jitter=4)
    asks = model(smoothed_edges=True)
    assert [*signature(asks, 0)] == ["a", "b", "b_smoothed"]
    batch = next(iter(batches(asks, domains, config, 0)))
    for image, blurred in zip(batch["b"], batch["b_smoothed"], strict=True):
        np.testing.assert_array_equal(blurred, smoothed(image.numpy()))
        assert np.abs(blurred - image).max() > 0.1
    plain = next(iter(batches(model(), domains, config, 0)))
    assert [*plain] == ["a", "b"]
    np.testing.assert_array_equal(plain["b"], batch["b"])
