"""Precision-recall distributions — Assessing Generative Models via Precision and Recall.

Sajjadi et al., NeurIPS 2018, arXiv:1806.00035, section 3.2.

Real and generated features are clustered together; from the two histograms over the clusters,
precision alpha and recall beta = alpha / lambda for each slope lambda:
alpha = sum_i min(lambda p_i, q_i), p real and q generated.

Differs from the public code: k-means of scipy instead of scikit-learn's mini-batch form.

Reference: msmsajjadi/precision-recall-distributions, prd_score.py.
"""

import numpy as np
from scipy.cluster.vq import kmeans2

from tfgans.metrics.distances import feature_pair


def prd(real, fake, clusters: int = 20, runs: int = 10, seed: int = 0) -> tuple:
    """The curve of two sets of features, averaged over clusterings.

    Args:
        real: [N, d], array or tensor.
        fake: [M, d].
        clusters: Of k-means on both sets together.
        runs: Clusterings, each from another start.
        seed: Of the starts.

    Returns:
        Precision [1001] and recall [1001], by growing slope.
    """
    real, fake = feature_pair(real, fake)
    both, curves = np.concatenate([real, fake]), []
    for run in range(runs):
        random = np.random.default_rng([seed, run])
        _, cluster = kmeans2(both, clusters, minit="++", missing="warn", rng=random)
        parts = cluster[: len(real)], cluster[len(real) :]
        p, q = (np.bincount(part, minlength=clusters) / len(part) for part in parts)
        curves.append(prd_of_histograms(p, q))
    precision, recall = np.mean(curves, axis=0)
    return precision, recall


def prd_of_histograms(p, q) -> tuple:
    """The curve of two histograms over the same cells, p of real and q of generated images."""
    slopes = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, 1001))[:, None]
    precision = np.minimum(slopes * p, q).sum(axis=1)
    return np.clip(precision, 0, 1), np.clip(precision / slopes[:, 0], 0, 1)


def prd_summary(precision, recall) -> tuple[float, float]:
    """A curve as two numbers: the highest F_8, which weighs recall, and F_1/8, precision."""
    return tuple(float(f_score(precision, recall, beta).max()) for beta in (8, 1 / 8))


def f_score(precision, recall, beta: float = 1):
    """F_beta = (1 + beta^2) P R / (beta^2 P + R), of numbers or arrays; 0 where both are 0."""
    precision, recall = np.asarray(precision, "float64"), np.asarray(recall, "float64")
    below = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / np.where(below > 0, below, 1)
