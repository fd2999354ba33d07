"""Improved Precision and Recall — Improved Precision and Recall Metric for Assessing GANs.

Kynkäänniemi et al., NeurIPS 2019, arXiv:1904.06991, eq. 1 and 2.

A set of features is taken as the union of balls around its points, each reaching to the k-th
nearest other point. Precision: the part of the generated images inside the union of the real ones.
Recall: the part of the real images inside the union of the generated ones. A single far-off
generated image has a huge ball and inflates recall; see `density_coverage`.

Reference: kynkaat/improved-precision-and-recall-metric; NVlabs/stylegan2-ada-pytorch,
metrics/precision_recall.py. Published values use the 4,096 activations of VGG16's second dense
layer, of 50,000 images each.
"""

import numpy as np

from tfgans.metrics.distances import distance_blocks, feature_pair, neighbor_radius


def improved_precision_recall(real, fake, k: int = 3) -> tuple[float, float]:
    """Precision and recall, each in [0, 1], of features [N, d] and [M, d], arrays or tensors.

    Args:
        real: Features of real images.
        fake: Features of generated images.
        k: Which neighbor is on the surface of a ball; the point itself is not counted.
    """
    real, fake = feature_pair(real, fake)
    return part_inside(fake, real, k), part_inside(real, fake, k)


def part_inside(points, centers, k):
    """The part of `points` in some ball of `centers`; a point on the surface is inside."""
    radius = neighbor_radius(centers, k)
    inside = [(table <= radius).any(axis=1) for _, table in distance_blocks(points, centers)]
    return float(np.concatenate(inside).mean())
