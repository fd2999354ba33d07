"""Precision-recall distributions — Assessing Generative Models via Precision and Recall.

Sajjadi et al., NeurIPS 2018, arXiv:1806.00035, section 3.2.

Real and generated features are clustered together. The histograms over the clusters, p of the real
and q of the generated features, give precision alpha and recall beta for each slope lambda:
alpha = sum_i min(lambda p_i, q_i), beta = alpha / lambda.

Differs from the public code: SciPy's k-means replaces scikit-learn's mini-batch k-means.

Reference: msmsajjadi/precision-recall-distributions, prd_score.py.
"""

import numpy as np
from scipy.cluster.vq import kmeans2

from tfgans.errors import BadInput
from tfgans.metrics.distances import at_least, feature_pair


def prd(real, fake, clusters: int = 20, runs: int = 10, seed: int = 0) -> tuple:
    """The precision-recall curve of two sets of features, averaged over clusterings.

    Args:
        real: Features of real images [N, d], array or tensor.
        fake: Features of generated images [M, d].
        clusters: Number of clusters of k-means on both sets together.
        runs: Number of clusterings, each from another start.
        seed: Seed of the starts.

    Returns:
        Precision [1001] and recall [1001], in order of increasing slope.

    Raises:
        BadInput: The sets are no features, or hold fewer rows together than there are clusters.
    """
    real, fake = feature_pair(real, fake)
    at_least("clusters", clusters, 1)
    at_least("runs", runs, 1)
    both, curves = np.concatenate([real, fake]), []
    if len(both) < clusters:
        raise BadInput(
            f"{len(real)} real and {len(fake)} generated images cannot fill {clusters} clusters: "
            f"wanted at least {clusters} together. Take more images."
        )
    for run in range(runs):
        random = np.random.default_rng([seed, run])
        _, cluster = kmeans2(both, clusters, minit="++", missing="warn", rng=random)
        parts = cluster[: len(real)], cluster[len(real) :]
        p, q = (np.bincount(part, minlength=clusters) / len(part) for part in parts)
        curves.append(prd_of_histograms(p, q))
    precision, recall = np.mean(curves, axis=0)
    return precision, recall


def prd_of_histograms(p, q) -> tuple:
    """The curve from two histograms over the same cells, p of real and q of generated images."""
    slopes = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, 1001))[:, None]
    precision = np.minimum(slopes * p, q).sum(axis=1)
    return np.clip(precision, 0, 1), np.clip(precision / slopes[:, 0], 0, 1)


def prd_summary(precision, recall) -> tuple[float, float]:
    """Sums a curve up in two numbers: the maximum of F_8, for recall, and F_1/8, for precision."""
    return tuple(float(f_score(precision, recall, beta).max()) for beta in (8, 1 / 8))


def f_score(precision, recall, beta: float = 1):
    """F_beta = (1 + beta^2) P R / (beta^2 P + R), for numbers or arrays; 0 where both are 0."""
    precision, recall = np.asarray(precision, "float64"), np.asarray(recall, "float64")
    below = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / np.where(below > 0, below, 1)
