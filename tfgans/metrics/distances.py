"""Distances and nearest neighbors of feature vectors."""

import numpy as np

from tfgans.errors import BadInput

BLOCK = 1000  # rows of a distance table that are in memory at once


def feature_pair(real, fake) -> tuple:
    """Checks two sets of features and converts them to float64.

    Args:
        real: Features of real images [N, d], array or tensor.
        fake: Features of generated images [M, d].

    Raises:
        BadInput: The shapes are not [N, d] and [M, d] with at least two rows each, or a value is
            NaN or infinite.
    """
    sets = [np.asarray(x, "float64") for x in (real, fake)]
    shapes = [x.shape for x in sets]
    if any(len(s) != 2 or s[0] < 2 for s in shapes) or shapes[0][1] != shapes[1][1]:
        raise BadInput(
            "Wanted features of real and generated images, [N, d] with the same d and at least two "
            f"rows each, not {shapes[0]} and {shapes[1]}."
        )
    if not all(np.isfinite(x).all() for x in sets):
        raise BadInput("The features hold NaN or infinite values.")
    return tuple(sets)


def pixel_sets(images_a, images_b) -> tuple:
    """Checks two sets of images and converts them to float64.

    Args:
        images_a: Images [N, H, W, C], array or tensor.
        images_b: Images [M, H, W, C].

    Raises:
        BadInput: They are not images of one size and number of channels, a set is empty, or a pixel
            is NaN or infinite.
    """
    sets = [np.asarray(x, "float64") for x in (images_a, images_b)]
    shapes = [x.shape for x in sets]
    if any(len(s) != 4 or 0 in s for s in shapes) or shapes[0][1:] != shapes[1][1:]:
        raise BadInput(
            "Wanted two sets of images, [N, H, W, C] with the same sides and channels, not "
            f"{shapes[0]} and {shapes[1]}."
        )
    if not all(np.isfinite(x).all() for x in sets):
        raise BadInput("The images hold NaN or infinite pixels.")
    return tuple(sets)


def at_least(word: str, value: int, least: int):
    """Raises BadInput where a setting of a metric is too small."""
    if value < least:
        raise BadInput(f"{word} must be at least {least}, not {value}.")


def squared_distances(points: np.ndarray, others: np.ndarray):
    """Yields (slice, squared distances [rows, len(others)]) until all rows of `points` are done."""
    lengths = np.square(others).sum(axis=1)
    for begin in range(0, len(points), BLOCK):
        rows = slice(begin, begin + BLOCK)
        squared = lengths - 2 * points[rows] @ others.T
        squared += np.square(points[rows]).sum(axis=1)[:, None]
        yield rows, np.maximum(squared, 0, out=squared)


def squared_radius(points: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each point to its k-th nearest other point, [N].

    Raises:
        BadInput: The set has fewer than k other points.
    """
    at_least("k", k, 1)
    if len(points) <= k:
        raise BadInput(f"Wanted {k} nearest neighbors of each point in a set of {len(points)}.")
    radius = np.empty(len(points))
    for rows, distances in squared_distances(points, points):
        numbers = np.arange(len(points))[rows]
        distances[np.arange(len(numbers)), numbers] = 0  # a point itself is always the nearest
        distances.partition(k, axis=1)
        radius[rows] = distances[:, k]
    return radius
