"""Counts of the numbers in an exported model's files."""

import math

import tensorflow as tf
from tiny import contract

from tfgans.layers.equalized import EqualizedConv2D
from tfgans.layers.resampled_conv import UpConv2D
from tfgans.layers.spectral_norm import SpectralNorm


def stored(folder):
    """All numbers of a SavedModel's variables."""
    variables = tf.train.list_variables(str(folder / "variables" / "variables"))
    return sum(math.prod(shape) for name, shape in variables if "_CHECKPOINTABLE" not in name)


def served(network):
    """Numbers that an export holds of a network: its weights, and prepared forms of some.

    A list of networks is all of them.
    """
    if isinstance(network, list):
        return sum(map(served, network))
    layers = list(network._flatten_layers())
    normalized = {id(layer.layer) for layer in layers if isinstance(layer, SpectralNorm)}
    more = sum(prepared(layer) for layer in layers if id(layer) not in normalized)
    return network.count_params() + more


def prepared(layer):
    """How many numbers an export holds of a layer beyond its weights; fewer are negative."""
    room, _, name = type(layer).__module__.rpartition(".")
    if room == "tfgans.models":
        return contract(name, "prepared", {}).get(type(layer), lambda layer: 0)(layer)
    if isinstance(layer, SpectralNorm):  # a kernel that is divided already needs no vector
        return -math.prod(layer.u.shape)
    doubles = isinstance(layer, UpConv2D) or (isinstance(layer, EqualizedConv2D) and layer.up)
    return enlarged(layer) if doubles else 0


def enlarged(layer):
    """A kernel that doubles the image is kept in the form that has one row and column more."""
    k = layer.kernel.shape[0]
    return (2 * k + 1) * math.prod(layer.kernel.shape[2:])  # (k + 1)^2 - k^2
