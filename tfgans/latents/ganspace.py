"""GANSpace: principal components of latent codes as directions.

GANSpace: Discovering Interpretable GAN Controls, Härkönen et al., NeurIPS 2020, arXiv:2004.02546.
The components are those of w in a style generator. A unit of strength is one standard deviation
along the component, and an edit changes some layers only.

Differs from the paper: the components of activations, for generators without w, are left out.
Differs from the code: the covariance is summed over all batches and solved once, not approximated
batch by batch; w has few enough dimensions for that.

Reference: harskish/ganspace.
"""

import numpy as np

from tfgans.latents.sefa import signed


def principal_components(batches, count):
    """Principal components of codes that come in batches.

    Args:
        batches: Iterable of arrays [n, D].
        count: Number of components.

    Returns:
        Components [count, D] (unit rows), standard deviations [count], mean [D].
    """
    n, total, products, origin = 0, 0.0, 0.0, None
    for batch in batches:
        batch = np.asarray(batch, "float64")
        if origin is None:  # sums about a mean lose no digits below
            origin = batch.mean(axis=0)
        batch = batch - origin
        n, total = n + len(batch), total + batch.sum(axis=0)
        products = products + batch.T @ batch
    mean = total / n
    values, vectors = np.linalg.eigh((products - n * np.outer(mean, mean)) / (n - 1))
    deviations = np.sqrt(np.maximum(values[::-1][:count], 0.0))
    return signed(vectors.T[::-1][:count]), deviations, origin + mean


def components_of_w(space, count, samples=300_000, seed=0, batch=10_000):
    """`principal_components` of `samples` untruncated w.

    Args:
        space: The `Space` of a generator with styles.
        count: Number of components.
        samples: Number of w.
        seed: Seed of the first batch; each batch takes the seed after those before.
        batch: w held in memory at once.
    """

    def batches():
        for first in range(0, samples, batch):
            n = min(batch, samples - first)
            label = space.labels(range(first, first + n))
            yield space.w(space.sample_z(n, seed + first), label).numpy()

    return principal_components(batches(), count)
