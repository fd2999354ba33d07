"""Density and Coverage — Reliable Fidelity and Diversity Metrics for Generative Models.

Naeem et al., ICML 2020, arXiv:2002.09797, eq. 3 and 4.

Unlike `improved_pr`, it draws balls around real images only, so generated outliers have no ball.
Density counts the balls in which a generated image lies and may exceed 1; coverage is the share of
the balls that hold a generated image.

Reference: clovaai/generative-evaluation-prdc, prdc/prdc.py. A point on the surface of a ball is
outside, unlike in `improved_pr`.
"""

import numpy as np

from tfgans.metrics.distances import feature_pair, squared_distances, squared_radius


def density_coverage(real, fake, k: int = 5) -> tuple[float, float]:
    """Density (about 1 for equal distributions) and coverage (at most 1).

    Args:
        real: Features of real images [N, d], array or tensor.
        fake: Features of generated images [M, d].
        k: A ball reaches to the k-th nearest neighbor, not counting the point itself.
    """
    real, fake = feature_pair(real, fake)
    radius = squared_radius(real, k)
    balls, covered = 0, np.zeros(len(real), bool)
    for _, table in squared_distances(fake, real):
        inside = table < radius
        balls += inside.sum()
        covered |= inside.any(axis=0)
    return float(balls / (k * len(fake))), float(covered.mean())
