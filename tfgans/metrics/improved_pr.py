"""Improved Precision and Recall — Improved Precision and Recall Metric for Assessing GANs.

Kynkäänniemi et al., NeurIPS 2019, arXiv:1904.06991, eq. 1 and 2.

The support of a set of features is estimated as the union of balls around its points; each ball
reaches to the k-th nearest other point. Precision is the share of generated images inside the
support of the real ones, recall the share of real images inside the support of the generated ones.
A single generated outlier has a huge ball and inflates recall; see `density_coverage`.

Reference: kynkaat/improved-precision-and-recall-metric; NVlabs/stylegan2-ada-pytorch,
metrics/precision_recall.py. Published values use the 4,096 activations of VGG16's second dense
layer for 50,000 real and 50,000 generated images.
"""

import numpy as np

from tfgans.metrics.distances import feature_pair, squared_distances, squared_radius


def improved_precision_recall(real, fake, k: int = 3) -> tuple[float, float]:
    """Precision and recall, each in [0, 1].

    Args:
        real: Features of real images [N, d], array or tensor.
        fake: Features of generated images [M, d].
        k: A ball reaches to the k-th nearest neighbor, not counting the point itself.
    """
    real, fake = feature_pair(real, fake)
    return part_inside(fake, real, k), part_inside(real, fake, k)


def part_inside(points, centers, k):
    """The share of `points` inside a ball around `centers`; a point on the surface is inside."""
    radius = squared_radius(centers, k)
    inside = [(table <= radius).any(axis=1) for _, table in squared_distances(points, centers)]
    return float(np.concatenate(inside).mean())
