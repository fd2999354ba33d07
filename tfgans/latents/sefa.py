"""SeFa: directions in closed form, from the weights alone.

Closed-Form Factorization of Latent Semantics in GANs, Shen & Zhou, CVPR 2021, arXiv:2007.06600.
The directions change the output of the first operation on a code most: they are the eigenvectors of
A^T A with the largest eigenvalues, where A holds the weights of that operation.

Differs from the code: the solver is symmetric, the eigenvalues are in descending order, and the
sign is fixed (the largest component is positive); the code uses a general solver and does not sort.

Reference: genforce/sefa. rosinality/stylegan2-pytorch does not normalize the rows, which changes
the order.
"""

import numpy as np

from tfgans.errors import BadInput


def first_weights(space, layers):
    """The matrix A of a generator, [outputs, D]: the first operation of the layers on their code.

    In a style generator A holds the style weights of the convolutions, without those of ToRGB; in
    BigGAN those of all operations on z; in any other the weights of the first dense layer.
    """
    if space.has_styles:
        convs = space.generator.synthesis.convs
        return np.concatenate([convs[k].affine.kernel.numpy().T for k in layers if k < len(convs)])
    if hasattr(space.model, "weights_on_z"):
        return space.model.weights_on_z()
    dims = space.dims["z"]
    kernels = [w for w in space.generator.weights if len(w.shape) == 2 and w.shape[0] >= dims]
    if not kernels:
        raise BadInput(f"{type(space.model).__name__} does not begin with a dense layer on z.")
    return kernels[0].numpy()[:dims].T


def sefa(weights, normalize=True):
    """Eigenvalues [D], descending, and directions [D, D], one per row.

    Args:
        weights: A, [outputs, D].
        normalize: Scale each row of A to length 1 first, as the code does.
    """
    weights = np.asarray(weights, "float64")
    if normalize:
        weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(weights.T @ weights)
    return values[::-1], signed(vectors.T[::-1])


def signed(vectors):
    """Flips rows so that the component of largest magnitude is positive."""
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(1)[:, None], 1)
    return vectors * np.sign(largest)
