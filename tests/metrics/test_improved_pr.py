import numpy as np
import pytest

from tfgans.errors import BadInput
from tfgans.metrics import density_coverage, improved_precision_recall
from tfgans.metrics.distances import BLOCK, squared_radius

REAL = np.arange(5.0)[:, None]
FAKE = np.array([[0.5], [2.0], [10.0]])


def test_five_points_by_hand():
    assert improved_precision_recall(REAL, FAKE, k=1) == pytest.approx((2 / 3, 1.0))
    # the outlier's ball of radius 8 covers 2, 3 and 4; without it 4 is lost
    assert improved_precision_recall(REAL, FAKE[:2], k=1) == pytest.approx((1.0, 0.8))


def test_density_and_coverage_by_hand():
    assert density_coverage(REAL, FAKE, k=1) == pytest.approx((1.0, 0.6))  # "<=": 1.667, 0.8
    assert density_coverage(REAL, FAKE, k=2) == pytest.approx((0.5, 0.6))
    # an outlier changes the density by its share alone, and leaves the coverage
    assert density_coverage(REAL, FAKE[:2], k=1) == pytest.approx((1.5, 0.6))


def test_constructed_manifolds(rng):
    """The data are two rings; the generator makes one, and half of its images lie between."""
    angle = rng.uniform(0, 2 * np.pi, 1200)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    circle += 0.01 * rng.normal(size=circle.shape)
    real = np.concatenate([circle[:300], circle[300:600] + [10, 0]])
    fake = np.concatenate([circle[600:900], 0.05 * circle[900:] + [5, 0]])
    precision, recall = improved_precision_recall(real, fake)
    assert precision == pytest.approx(0.5, abs=0.03) and recall == pytest.approx(0.5, abs=0.03)
    density, coverage = density_coverage(real, fake)
    assert density == pytest.approx(0.5, abs=0.05) and coverage == pytest.approx(0.485, abs=0.02)


def test_identical_and_distant_sets(rng):
    points = rng.normal(size=[100, 5])
    assert improved_precision_recall(points, points) == (1.0, 1.0)
    assert improved_precision_recall(points, points + 1000) == (0.0, 0.0)
    assert density_coverage(points, points + 1000) == (0.0, 0.0)


def test_equal_distributions_are_covered_as_expected(rng):
    """1 - prod_i (N - 1 - i) / (2N - 1 - i) = 0.96887, about 1 - 2^-k; density 1."""
    density, coverage = density_coverage(*rng.normal(size=[2, 2000, 4]))
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(0.96887, abs=0.012)


def test_neighbors_across_blocks_and_duplicates(rng):
    points = rng.normal(size=[BLOCK + 200, 3])
    points[7] = points[BLOCK + 9]  # its nearest other point is at distance 0
    everywhere = np.linalg.norm(points[::50, None] - points, axis=-1)
    expected = np.sort(everywhere, axis=1)[:, 3]
    np.testing.assert_allclose(squared_radius(points, 3)[::50], expected**2, rtol=1e-9)
    assert squared_radius(points, 1)[7] < 1e-12
    with pytest.raises(BadInput, match="Wanted 3 nearest"):
        squared_radius(points[:3], 3)
