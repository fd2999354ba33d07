"""What is in an exported model's files, counted."""

import math

import tensorflow as tf

from tfgans.layers.resampled_conv import UpConv2D
from tfgans.models.progan import EqualizedConv2D
from tfgans.models.stylegan2 import StyledConv


def stored(folder):
    """All numbers of a SavedModel's variables."""
    variables = tf.train.list_variables(str(folder / "variables" / "variables"))
    return sum(math.prod(shape) for name, shape in variables if "_CHECKPOINTABLE" not in name)


def served(network):
    """What an export needs of a network: its weights, some with more numbers for use."""
    count = network.count_params()
    for layer in network._flatten_layers():
        if isinstance(layer, StyledConv):
            count += math.prod(layer.kernel.shape[2:])  # sums of squares
        if isinstance(layer, UpConv2D) or isinstance(layer, EqualizedConv2D) and layer.up:
            k = layer.kernel.shape[0]
            count += (2 * k + 1) * math.prod(layer.kernel.shape[2:])  # (k + 1)^2 - k^2
    return count
