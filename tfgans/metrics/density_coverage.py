"""Density and Coverage — Reliable Fidelity and Diversity Metrics for Generative Models.

Naeem et al., ICML 2020, arXiv:2002.09797, eq. 3 and 4.

New against `improved_pr`: balls are drawn around real images only, so that generated outliers
cannot enlarge anything; density counts in how many balls an image lies, and is not bounded by 1.

Reference: clovaai/generative-evaluation-prdc, prdc/prdc.py: a point on the surface of a ball is
outside, unlike in `improved_pr`.
"""

import numpy as np

from tfgans.metrics.distances import distance_blocks, feature_pair, neighbor_radius


def density_coverage(real, fake, k: int = 5) -> tuple[float, float]:
    """Density (about 1 for equal distributions) and coverage (at most 1).

    Args:
        real: Features [N, d] of real images, array or tensor.
        fake: Features [M, d] of generated images.
        k: Which neighbor is on the surface of a ball; the point itself is not counted.
    """
    real, fake = feature_pair(real, fake)
    radius = neighbor_radius(real, k)
    balls, covered = 0, np.zeros(len(real), bool)
    for _, table in distance_blocks(fake, real):
        inside = table < radius
        balls += inside.sum()
        covered |= inside.any(axis=0)
    return float(balls / (k * len(fake))), float(covered.mean())
