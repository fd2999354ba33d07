"""SeFa: directions in closed form, from the weights alone.

Closed-Form Factorization of Latent Semantics in GANs, Shen & Zhou, CVPR 2021, arXiv:2007.06600.
The directions change the output of the first operation on a code most: they are the eigenvectors of
A^T A with the largest eigenvalues, where A holds the weights of that operation.

Differs from the code: the solver is symmetric, the eigenvalues are in descending order, and the
sign is fixed (the largest component is positive); the code uses a general solver and does not sort.

Reference: genforce/sefa. rosinality/stylegan2-pytorch does not normalize the rows, which changes
the order.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.spectral_norm import SpectralNorm


def first_weights(space, layers):
    """The matrix A of a generator, [outputs, D]: the first operation of the layers on their code.

    In a style generator A holds the style weights of the convolutions, without those of ToRGB. A
    model whose z enters in several places, as BigGAN's, says it by its method `weights_on_z`. In
    any other A is the part on z of the dense layers that z reaches first.

    Args:
        space: A `Space`.
        layers: Numbers of the layers, of a style generator.

    Raises:
        BadInput: The layers hold ToRGB alone, or the generator begins otherwise.
    """
    if space.has_styles:
        convs = space.generator.synthesis.convs
        kernels = [convs[k].affine.kernel.numpy().T for k in layers if k < len(convs)]
        if not kernels:
            raise BadInput(
                f"SeFa reads the style weights of convolutions, and layer {len(convs)} holds ToRGB "
                f"alone, which it leaves out: give a layer of 0-{len(convs) - 1} too."
            )
        return np.concatenate(kernels)
    if hasattr(space.model, "weights_on_z"):
        return space.model.weights_on_z()
    generator, parts = space.generator, []
    for layer in dense_on_z(generator) if isinstance(generator, keras.Model) else []:
        slope = slope_on_z(keras.Model(generator.inputs, layer.input), space.dims["z"])
        dense = layer.layer if isinstance(layer, SpectralNorm) else layer
        parts.append((slope @ dense.kernel.numpy()).T)
    if not parts:
        raise BadInput(f"{type(space.model).__name__} does not begin with a dense layer on z.")
    return np.concatenate(parts)


def dense_on_z(network):
    """The dense layers of a functional network that z, its first input, reaches first."""
    reached, found = {id(network.inputs[0])}, []
    for layer in network.operations:  # from the inputs on
        if reached.isdisjoint(map(id, tf.nest.flatten(layer.input))):
            continue
        if isinstance(getattr(layer, "layer", layer), keras.layers.Dense):
            found.append(layer)
        else:
            reached |= set(map(id, tf.nest.flatten(layer.output)))
    return found


def slope_on_z(network, dims):
    """The output's change for a step of 1 in each number of z, [dims, outputs].

    Args:
        network: A network that is linear in z, its first input.
        dims: Length of z.
    """
    rest = [tf.zeros([1, *x.shape[1:]]) for x in network.inputs[1:]]
    steps = network([tf.eye(dims), *(tf.repeat(x, dims, axis=0) for x in rest)], training=False)
    slope = steps - network([tf.zeros([1, dims]), *rest], training=False)[-1:]
    return np.asarray(slope[-dims:], "float32")  # before them may stand a reference batch


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
