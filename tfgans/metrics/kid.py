"""Kernel Inception Distance — Demystifying MMD GANs.

Binkowski et al., ICLR 2018, arXiv:1801.01401, section 4.

The unbiased estimate of the squared maximum mean discrepancy with the kernel
k(x, y) = (x.y / d + 1)^3. Its mean does not depend on the number of images; for equal distributions
it is negative about half of the time.

Reference: mbinkowski/MMD-GAN, gan/compute_scores.py; tensorflow/gan, classifier_metrics.py.
"""

import numpy as np

from tfgans.errors import BadInput
from tfgans.metrics.distances import at_least, feature_pair


def kernel_distance(real, fake) -> float:
    """The unbiased estimate from all pairs of rows of `real` [N, d] and `fake` [M, d]."""
    real, fake = feature_pair(real, fake)
    return mean_of_pairs(real) + mean_of_pairs(fake) - 2 * kernel(real, fake).mean()


def kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def mean_of_pairs(x):
    """Mean of k over all pairs of different rows."""
    table = kernel(x, x)
    return (table.sum() - np.trace(table)) / (len(x) * (len(x) - 1))


def kid(real, fake, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> tuple:
    """The distance as papers publish it: the mean over random subsets.

    Args:
        real: Features of real images [N, d], array or tensor.
        fake: Features of generated images [M, d].
        subsets: Number of pairs of subsets.
        subset_size: Rows in each subset, drawn without replacement; at most the size of the
            smaller set.
        seed: Seed of the draws.

    Returns:
        Mean and standard deviation over the subsets. The subsets overlap, so the deviation is not
        the error of the mean.
    """
    real, fake = feature_pair(real, fake)
    at_least("subsets", subsets, 1)
    at_least("subset_size", subset_size, 2)
    size, random = min(subset_size, len(real), len(fake)), np.random.default_rng(seed)
    values = [
        kernel_distance(*(x[random.choice(len(x), size, replace=False)] for x in (real, fake)))
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


def kid_of_blocks(real, fake, max_block_size: int = 1024) -> tuple:
    """The distance as tensorflow-gan estimates it, over consecutive blocks.

    Args:
        real: Features of real images [N, d] in random order, array or tensor.
        fake: Features of generated images [M, d] in random order.
        max_block_size: Largest number of rows in a block; the larger blocks come last.

    Returns:
        Mean over the blocks and its standard error, which is NaN for a single block.

    Raises:
        BadInput: A block has fewer than two images.
    """
    real, fake = feature_pair(real, fake)
    at_least("max_block_size", max_block_size, 1)
    blocks = -(-max(len(real), len(fake)) // max_block_size)
    if min(len(real), len(fake)) < 2 * blocks:
        raise BadInput(
            f"{len(real)} and {len(fake)} images in {blocks} blocks: wanted at least two images in "
            "each block."
        )
    pairs = zip(consecutive(real, blocks), consecutive(fake, blocks), strict=True)
    values = [kernel_distance(*pair) for pair in pairs]
    error = np.std(values, ddof=1) / np.sqrt(blocks) if blocks > 1 else np.nan
    return float(np.mean(values)), float(error)


def consecutive(x, blocks):
    """Splits rows into consecutive blocks of equal size; the last ones may be one row longer."""
    small, longer = divmod(len(x), blocks)
    ends = np.cumsum([small] * (blocks - longer) + [small + 1] * longer)
    return np.split(x, ends[:-1])
