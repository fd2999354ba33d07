"""Feature vectors, their distances and nearest neighbors, for the metrics that need them."""

import numpy as np

from tfgans.errors import BadInput

BLOCK = 1000  # rows of a distance table that are in memory at once


def feature_pair(real, fake) -> tuple:
    """Both sets as float64 [N, d], checked.

    Args:
        real: [N, d], array or tensor.
        fake: [M, d].

    Raises:
        BadInput: Not two tables of the same width with at least two rows, or not all numbers.
    """
    sets = [np.asarray(x, "float64") for x in (real, fake)]
    shapes = [x.shape for x in sets]
    if any(len(s) != 2 or s[0] < 2 for s in shapes) or shapes[0][1] != shapes[1][1]:
        raise BadInput(
            "Wanted features of real and generated images, [N, d] with the same d and at least two "
            f"rows each, not {shapes[0]} and {shapes[1]}."
        )
    if not all(np.isfinite(x).all() for x in sets):
        raise BadInput("The features hold values that are not finite numbers.")
    return tuple(sets)


def distance_blocks(points: np.ndarray, others: np.ndarray):
    """Yields (slice, Euclidean distances [rows, len(others)]) over all rows of `points`."""
    lengths = np.square(others).sum(axis=1)
    for begin in range(0, len(points), BLOCK):
        rows = slice(begin, begin + BLOCK)
        squared = lengths - 2 * points[rows] @ others.T
        squared += np.square(points[rows]).sum(axis=1)[:, None]
        yield rows, np.sqrt(np.maximum(squared, 0))


def neighbor_radius(points: np.ndarray, k: int) -> np.ndarray:
    """Distance of each point to its k-th nearest other point, [N].

    Raises:
        BadInput: There are not k other points.
    """
    if len(points) <= k:
        raise BadInput(f"The {k} nearest neighbors were asked for in a set of {len(points)}.")
    radius = np.empty(len(points))
    for rows, distances in distance_blocks(points, points):
        numbers = np.arange(len(points))[rows]
        distances[np.arange(len(numbers)), numbers] = 0  # a point itself is always the nearest
        radius[rows] = np.partition(distances, k, axis=1)[:, k]
    return radius
