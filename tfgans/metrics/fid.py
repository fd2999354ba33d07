"""Fréchet Inception Distance — GANs Trained by a Two Time-Scale Update Rule.

Heusel et al., NeurIPS 2017, arXiv:1706.08500, eq. 6.

The Fréchet distance between two Gaussians: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). It is
biased upwards by about 1 / N, so a value is always stated together with the number of images.

Differs from the public code: S1 S2 is not symmetric, so we take the square root of F^T S2 F
instead, where S1 = F F^T by eigendecomposition. It is symmetric and has the same nonzero
eigenvalues. The result is real by construction and exact for singular covariances (fewer images
than features), and the computation is faster: it adds nothing to a diagonal and discards no
imaginary part.

Reference: bioinf-jku/TTUR, fid.py; tensorflow/gan, classifier_metrics.py.
"""

import numpy as np
from scipy import linalg
from scipy.linalg.blas import dsyrk

from tfgans.errors import BadInput
from tfgans.metrics.distances import feature_pair

ROWS = 4096  # rows converted to float64 at once


class Moments:
    """Mean and covariance of features that come in batches, in float64.

    Sums are taken about the mean of the first batch, so a large mean costs no digits.

    Attributes:
        count: Number of rows added.
    """

    def __init__(self):
        self.count = 0

    def add(self, features) -> "Moments":
        """Adds rows of `features` [n, d], array or tensor.

        Raises:
            BadInput: The rows are not [n, d], or hold NaN or infinite values.
        """
        features = np.asarray(features)
        if features.ndim != 2:
            raise BadInput(f"Wanted features [n, d], not {features.shape}.")
        for begin in range(0, len(features), ROWS):
            rows = features[begin : begin + ROWS].astype("float64")
            if self.count == 0:
                self.origin = rows.mean(axis=0)
                self.total = np.zeros_like(self.origin)
                self.products = np.zeros([len(self.origin)] * 2, order="F")
            rows -= self.origin
            self.count += len(rows)
            self.total += rows.sum(axis=0)
            # products += rows^T rows, in place and only above the diagonal
            self.products = dsyrk(1.0, rows.T, 1.0, self.products, overwrite_c=True)
        if self.count and not np.isfinite(self.total).all():
            raise BadInput("The features hold NaN or infinite values.")
        return self

    @property
    def mean(self) -> np.ndarray:
        """Mean [d]."""
        return self.origin + self.total / self.count

    def covariance(self, ddof: int = 1) -> np.ndarray:
        """Covariance [d, d], divided by count - ddof.

        Raises:
            BadInput: count is at most ddof.
        """
        if self.count <= ddof:
            raise BadInput(f"{self.count} images are too few for a covariance.")
        products = np.triu(self.products) + np.triu(self.products, 1).T
        about_origin = np.outer(self.total, self.total) / self.count
        return (products - about_origin) / (self.count - ddof)


def fid(real, fake, ddof: int = 1) -> float:
    """The distance between two sets of features.

    Args:
        real: Features of real images [N, d], array or tensor. Published values use the 2,048
            activations of `pool_3`.
        fake: Features of generated images [M, d].
        ddof: 1 as in the authors' code and most others; 0 as in NVIDIA's PyTorch code.
    """
    return fid_of_moments(Moments().add(real), Moments().add(fake), ddof)


def fid_of_moments(real: Moments, fake: Moments, ddof: int = 1) -> float:
    """The distance between two sets whose features were added to `Moments`.

    Args:
        real: `Moments` of the features of real images.
        fake: Those of generated ones, of the same network.
        ddof: 1: covariances divided by N - 1, as FID is defined; 0: by N.
    """
    covariances = real.covariance(ddof), fake.covariance(ddof)  # refuses too few images
    if len(real.mean) != len(fake.mean):
        raise BadInput(f"{len(real.mean)} and {len(fake.mean)} features cannot be compared.")
    return frechet_distance(real.mean, covariances[0], fake.mean, covariances[1])


def frechet_distance(mean_1, covariance_1, mean_2, covariance_2) -> float:
    """The distance between two Gaussians given by means [d] and covariances [d, d].

    Args:
        mean_1, mean_2: [d].
        covariance_1, covariance_2: [d, d], symmetric.
    """
    mean_1, covariance_1, mean_2, covariance_2 = (
        np.asarray(x, "float64") for x in (mean_1, covariance_1, mean_2, covariance_2)
    )
    distance = np.square(mean_1 - mean_2).sum() + np.trace(covariance_1) + np.trace(covariance_2)
    return float(distance - 2 * trace_of_root(covariance_1, covariance_2))


def trace_of_root(covariance_1, covariance_2) -> float:
    """tr((S1 S2)^(1/2)) of symmetric positive semi-definite matrices [d, d], even singular ones."""
    values, vectors = linalg.eigh(covariance_1, driver="evd")
    kept = values > values[-1] * len(values) * np.finfo("float64").eps  # the rest is rounded 0
    if not kept.any():  # all features are constant
        return 0.0
    factor = vectors[:, kept] * np.sqrt(values[kept])  # F [d, rank]
    eigenvalues = linalg.eigvalsh(factor.T @ covariance_2 @ factor)
    return float(np.sqrt(np.maximum(eigenvalues, 0)).sum())


def mean_only_fid(real, fake) -> float:
    """|m1 - m2|^2: tensorflow-gan's `mean_only_frechet_classifier_distance`.

    Args:
        real: Features, [N, d].
        fake: Features, [M, d].
    """
    real, fake = feature_pair(real, fake)
    return float(np.square(real.mean(axis=0) - fake.mean(axis=0)).sum())


def diagonal_fid(real, fake) -> float:
    """The distance that ignores correlations between features; variances divided by N.

    tensorflow-gan's `diagonal_only_frechet_classifier_distance`. Its full distance divides by
    N - 1.

    Args:
        real: Features, [N, d].
        fake: Features, [M, d].
    """
    real, fake = feature_pair(real, fake)
    spread = real.std(axis=0) - fake.std(axis=0)
    return mean_only_fid(real, fake) + float(np.square(spread).sum())
