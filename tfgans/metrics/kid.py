"""Kernel Inception Distance — Demystifying MMD GANs.

Binkowski et al., ICLR 2018, arXiv:1801.01401, section 4.

The squared maximum mean discrepancy with the kernel k(x, y) = (x.y / d + 1)^3, estimated without
bias: its mean does not depend on the number of images, and of equal distributions it is negative
about half of the time.

Reference: mbinkowski/MMD-GAN, gan/compute_scores.py; tensorflow/gan, classifier_metrics.py.
"""

import numpy as np

from tfgans.errors import BadInput
from tfgans.metrics.distances import feature_pair


def kernel_distance(real, fake) -> float:
    """The unbiased estimate from all pairs of two sets, [N, d] and [M, d], arrays or tensors."""
    real, fake = feature_pair(real, fake)
    return mean_of_pairs(real) + mean_of_pairs(fake) - 2 * kernel(real, fake).mean()


def kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def mean_of_pairs(x):
    """Mean of k over all pairs of different rows."""
    table = kernel(x, x)
    return (table.sum() - np.trace(table)) / (len(x) * (len(x) - 1))


def kid(real, fake, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> tuple:
    """The distance as it is published: the mean over random subsets.

    Args:
        real: Features [N, d], array or tensor.
        fake: Features [M, d].
        subsets: How many pairs of subsets.
        subset_size: Rows of each, drawn without replacement; fewer where a set has fewer.
        seed: Of the draws.

    Returns:
        Mean and standard deviation over the subsets. They overlap: the deviation is no error of
        the mean.
    """
    real, fake = feature_pair(real, fake)
    size, random = min(subset_size, len(real), len(fake)), np.random.default_rng(seed)
    values = [
        kernel_distance(*(x[random.choice(len(x), size, replace=False)] for x in (real, fake)))
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


def kid_of_blocks(real, fake, max_block_size: int = 1024) -> tuple:
    """The distance as tensorflow-gan estimates it: over consecutive blocks. Shuffle before.

    Args:
        real: Features [N, d], array or tensor.
        fake: Features [M, d].
        max_block_size: Most rows of a block; the larger blocks come last.

    Returns:
        Mean over the blocks and its standard error; the latter is NaN for a single block.
    """
    real, fake = feature_pair(real, fake)
    blocks = -(-max(len(real), len(fake)) // max_block_size)
    if min(len(real), len(fake)) < 2 * blocks:
        raise BadInput(
            f"{len(real)} and {len(fake)} images in {blocks} blocks: less than 2 in a block."
        )
    pairs = zip(consecutive(real, blocks), consecutive(fake, blocks), strict=True)
    values = [kernel_distance(*pair) for pair in pairs]
    error = np.std(values, ddof=1) / np.sqrt(blocks) if blocks > 1 else np.nan
    return float(np.mean(values)), float(error)


def consecutive(x, blocks):
    """Rows in consecutive blocks of equal size, the last ones one longer where it must be."""
    small, longer = divmod(len(x), blocks)
    ends = np.cumsum([small] * (blocks - longer) + [small + 1] * longer)
    return np.split(x, ends[:-1])
