"""SeFa: directions in closed form, from the weights alone.

Closed-Form Factorization of Latent Semantics in GANs, Shen & Zhou, CVPR 2021, arXiv:2007.06600.
The directions that change the first operation on a code most: the eigenvectors of A^T A with the
largest eigenvalues, where A holds the weights of that operation.

Differs from the code: a symmetric solver, eigenvalues in descending order, and a fixed sign (the
largest component is positive); the code takes a general solver, unsorted.

Reference: genforce/sefa. rosinality/stylegan2-pytorch leaves out the normalization of rows, which
changes the order.
"""

import numpy as np

from tfgans.errors import BadInput


def first_weights(space, layers):
    """A of a generator, [outputs, D]: what the given layers do first with their code.

    Of a style generator the style weights of its convolutions, without those of ToRGB; of any other
    the weights of its first dense layer.
    """
    if space.has_styles:
        convs = space.generator.synthesis.convs
        return np.concatenate([convs[k].affine.kernel.numpy().T for k in layers if k < len(convs)])
    dims = space.dims["z"]
    kernels = [w for w in space.generator.weights if len(w.shape) == 2 and w.shape[0] >= dims]
    if not kernels:
        raise BadInput(f"{type(space.model).__name__} does not begin with a dense layer on z.")
    return kernels[0].numpy()[:dims].T


def sefa(weights, normalize=True):
    """Eigenvalues [D], descending, and directions [D, D], one per row, of weights [outputs, D].

    Args:
        weights: A.
        normalize: Give each output a weight of length 1 first, as the code does.
    """
    weights = np.asarray(weights, "float64")
    if normalize:
        weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(weights.T @ weights)
    return values[::-1], signed(vectors.T[::-1])


def signed(vectors):
    """Rows, each turned so that its largest component is positive."""
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(1)[:, None], 1)
    return vectors * np.sign(largest)
