"""Collages: an image whose class, or whose latent, differs from place to place.

Spatially Controllable Image Synthesis with Internal Representation Collaging, Suzuki et al., 2018,
arXiv:1811.10153. Class translation mixes the gains and biases of conditional normalization by a map
of weights at each pixel. Feature blending mixes the maps of several latents behind each block.

Both work on generators of residual blocks, such as those of SNGAN, the projection discriminator,
SAGAN and BigGAN; class translation on those whose class goes into normalization. Moving statistics
are used, as in any inference.

Reference: quolc/neural-collage.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.conditional_norm import Conditioned, mixed_over


def translate_classes(space, z, classes, weights):
    """Images of z in which the class differs from place to place.

    Args:
        space: A `Space` of a model with classes.
        z: [n, latent_dim].
        classes: k class numbers.
        weights: [H, W, k], not negative, with the sum 1 at each pixel; resized to each layer.

    Returns:
        [n, H, W, C] in [-1, 1].
    """
    model, weights = space.model, checked(weights, len(classes))
    layers = model.sampling_generator._flatten_layers()
    if not model.label_dim or not any(isinstance(layer, Conditioned) for layer in layers):
        raise BadInput(
            f"{type(model).__name__} has no normalization whose gain and bias come from a class: "
            "class translation needs one, as SAGAN's."
        )
    made = []
    for one in z:  # the same latent as each class; their gains and biases are mixed
        rows = tf.repeat(one[None], len(classes), axis=0)
        with mixed_over(weights):
            made.append(model(rows, tf.constant(classes))[:1])
    return tf.concat(made, axis=0)


def blend(space, z, weights, label=None):
    """The image of several latents, each of which counts at its own places.

    Args:
        space: A `Space`.
        z: [k, latent_dim]; the first is the target, whose image takes parts of the others.
        weights: [H, W, k], not negative, with the sum 1 at each pixel; resized to each block.
        label: Class numbers [k]; by default the space's label for all.

    Returns:
        [H, W, C] in [-1, 1].
    """
    model, weights = space.model, checked(weights, len(z))
    generator = model.sampling_generator
    if not isinstance(generator, keras.Model) or not any(map(ends_block, generator.layers)):
        kind = type(model).__name__
        raise BadInput(f"{kind} has no residual blocks: feature blending needs some.")

    def call(layer, *inputs, **options):
        made = layer(*inputs, **options)
        return Blend(weights)(made) if ends_block(layer) else made

    blended = keras.models.clone_model(
        generator, clone_function=lambda layer: layer, call_function=call
    )
    if model.label_dim and label is None:
        label = [space.label] * len(z)
    with replaced_generator(model, blended):
        made = model(tf.constant(z), *([tf.constant(label)] if model.label_dim else []))
    return made[0]


def ends_block(layer):
    return isinstance(layer, keras.layers.Add)


@contextlib.contextmanager
def replaced_generator(model, network):
    """Inside, `model` samples with another network."""
    name = "generator_ema" if hasattr(model, "generator_ema") else "generator"
    before = getattr(model, name)
    vars(model)[name] = network
    try:
        yield
    finally:
        vars(model)[name] = before


class Blend(keras.layers.Layer):
    """Replaces the first row's map by a mean over all rows, weighted at each pixel.

    Args:
        weights: [H, W, k] for a batch of k rows.
    """

    def __init__(self, weights):
        super().__init__()
        self.weights_of_rows = weights

    def call(self, x):
        share = tf.image.resize(self.weights_of_rows, x.shape[1:3], "area")  # [h, w, k]
        first = tf.einsum("hwk,khwc->hwc", tf.cast(share, x.dtype), x)
        return tf.concat([first[None], x[1:]], axis=0)

    def compute_output_shape(self, x_shape):
        return x_shape


def checked(weights, k):
    weights = np.asarray(weights, "float32")
    if weights.ndim != 3 or weights.shape[2] != k:
        raise BadInput(f"Wanted weights [H, W, {k}], one map for each of {k}; not {weights.shape}.")
    if weights.min() < 0 or np.abs(weights.sum(axis=2) - 1.0).max() > 1e-3:
        raise BadInput("Weights are not negative and have the sum 1 at each pixel.")
    return weights
