"""Fréchet Inception Distance — GANs Trained by a Two Time-Scale Update Rule.

Heusel et al., NeurIPS 2017, arXiv:1706.08500, eq. 6.

The Fréchet distance of two Gaussians: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). It is biased
upwards by about 1 / N, so the number of images is part of its name.

Differs from the public code: the root is not taken of S1 S2, which is not symmetric, but of
F^T S2 F, which is and has the same nonzero eigenvalues, where S1 = F F^T by eigen-decomposition. It
is real by construction, right for singular covariances (fewer images than features), and faster:
nothing is added to a diagonal and no imaginary part is thrown away.

Reference: bioinf-jku/TTUR, fid.py; tensorflow/gan, classifier_metrics.py.
"""

import numpy as np
from scipy import linalg

from tfgans.errors import BadInput
from tfgans.metrics.distances import feature_pair


class Moments:
    """Mean and covariance of features that come in batches, in float64.

    Sums are taken about the mean of the first batch, so that a large mean costs no digits.

    Attributes:
        count: How many rows were added.
    """

    def __init__(self):
        self.count = 0

    def add(self, features) -> "Moments":
        """Adds rows, [n, d], array or tensor."""
        features = np.asarray(features, "float64")
        if self.count == 0:
            self.origin = features.mean(axis=0)
            self.total = np.zeros_like(self.origin)
            self.products = np.zeros([len(self.origin)] * 2)
        centered = features - self.origin
        self.count += len(features)
        self.total += centered.sum(axis=0)
        self.products += centered.T @ centered
        return self

    @property
    def mean(self) -> np.ndarray:
        """[d]."""
        return self.origin + self.total / self.count

    def covariance(self, ddof: int = 1) -> np.ndarray:
        """[d, d], divided by count - ddof. Raises BadInput where that is 0."""
        if self.count <= ddof:
            raise BadInput(f"{self.count} images are too few for a covariance.")
        about_origin = np.outer(self.total, self.total) / self.count
        return (self.products - about_origin) / (self.count - ddof)


def fid(real, fake, ddof: int = 1) -> float:
    """The distance of two sets of features.

    Args:
        real: [N, d], array or tensor. Those of published values are the 2,048 of `pool_3`.
        fake: [M, d].
        ddof: 1 as in the authors' code and most others; 0 as in NVIDIA's PyTorch code.
    """
    real, fake = feature_pair(real, fake)
    return fid_of_moments(Moments().add(real), Moments().add(fake), ddof)


def fid_of_moments(real: Moments, fake: Moments, ddof: int = 1) -> float:
    """The distance of two sets whose features were added to `Moments`."""
    return frechet_distance(
        real.mean, real.covariance(ddof), fake.mean, fake.covariance(ddof)
    )  # fmt: skip


def frechet_distance(mean_1, covariance_1, mean_2, covariance_2) -> float:
    """The distance of two Gaussians given by means [d] and covariances [d, d]."""
    mean_1, covariance_1, mean_2, covariance_2 = (
        np.asarray(x, "float64") for x in (mean_1, covariance_1, mean_2, covariance_2)
    )
    distance = np.square(mean_1 - mean_2).sum() + np.trace(covariance_1) + np.trace(covariance_2)
    return float(distance - 2 * trace_of_root(covariance_1, covariance_2))


def trace_of_root(covariance_1, covariance_2) -> float:
    """tr((S1 S2)^(1/2)) of symmetric positive semi-definite matrices [d, d], also singular ones."""
    values, vectors = linalg.eigh(covariance_1, driver="evd")
    kept = values > values[-1] * len(values) * np.finfo("float64").eps  # others are 0, but rounded
    if not kept.any():  # all features are constant
        return 0.0
    factor = vectors[:, kept] * np.sqrt(values[kept])  # F [d, rank]
    eigenvalues = linalg.eigvalsh(factor.T @ covariance_2 @ factor)
    return float(np.sqrt(np.maximum(eigenvalues, 0)).sum())


def mean_only_fid(real, fake) -> float:
    """|m1 - m2|^2: tensorflow-gan's `mean_only_frechet_classifier_distance`."""
    real, fake = feature_pair(real, fake)
    return float(np.square(real.mean(axis=0) - fake.mean(axis=0)).sum())


def diagonal_fid(real, fake) -> float:
    """The distance as if features were uncorrelated; variances divided by N.

    tensorflow-gan's `diagonal_only_frechet_classifier_distance`, whose full distance divides by
    N - 1.
    """
    real, fake = feature_pair(real, fake)
    spread = real.std(axis=0) - fake.std(axis=0)
    return mean_only_fid(real, fake) + float(np.square(spread).sum())
