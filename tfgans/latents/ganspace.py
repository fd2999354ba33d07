"""GANSpace: principal components of latent codes as directions.

GANSpace: Discovering Interpretable GAN Controls, Härkönen et al., NeurIPS 2020, arXiv:2004.02546.
In a style generator the components of w; elsewhere those of the first layer's activations, carried
back to z by regression. A unit of strength is one standard deviation along the component, and an
edit acts on some layers only.

Differs from the code: the covariance is summed up over all batches and solved once, instead of
approximated batch by batch; w has few enough dimensions for it.

Reference: harskish/ganspace.
"""

import numpy as np

from tfgans.latents.sefa import signed


def principal_components(batches, count):
    """Components of codes that come in batches.

    Args:
        batches: Arrays [n, D], any number.
        count: How many components.

    Returns:
        Components [count, D] (unit rows), standard deviations [count], mean [D].
    """
    n, total, products, origin = 0, 0.0, 0.0, None
    for batch in batches:
        batch = np.asarray(batch, "float64")
        origin = (
            batch.mean(axis=0) if origin is None else origin
        )  # keeps the difference below exact
        batch = batch - origin
        n, total = n + len(batch), total + batch.sum(axis=0)
        products = products + batch.T @ batch
    mean = total / n
    values, vectors = np.linalg.eigh((products - n * np.outer(mean, mean)) / (n - 1))
    deviations = np.sqrt(np.maximum(values[::-1][:count], 0.0))
    return signed(vectors.T[::-1][:count]), deviations, origin + mean


def components_of_w(space, count, samples=300_000, seed=0, batch=10_000):
    """`principal_components` of untruncated w's, `samples` of them."""

    def batches():
        for first in range(0, samples, batch):
            n = min(batch, samples - first)
            label = space.labels(range(first, first + n))
            yield space.w(space.sample_z(n, seed + first), label).numpy()

    return principal_components(batches(), count)


def to_z(z, activations, components, deviations, mean):
    """What to add to z for one deviation along each component of activations: [count, latent_dim].

    Args:
        z: [n, latent_dim].
        activations: [n, D] of these z.
        components, deviations, mean: Of `principal_components`.
    """
    coordinates = (activations - mean) @ components.T / deviations
    return np.linalg.lstsq(coordinates, z, rcond=None)[0]
