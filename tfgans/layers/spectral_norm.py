"""Spectral normalization (Miyato et al., ICLR 2018, arXiv:1802.05957, algorithm 1)."""

import keras
import tensorflow as tf

from tfgans.ops.exporting import prepared, replaced
from tfgans.ops.singular_value import singular_value


class SpectralNorm(keras.layers.Wrapper):
    """Runs a layer with its kernel W divided by sigma, the largest singular value of W.

    One step of power iteration estimates sigma, from a saved vector u that moves in training only:
    v = W u / |W u|, u = W^T v / |W^T v|, sigma = v^T W u, for W as a matrix [inputs, outputs]. The
    gradient passes through sigma, but not through u and v, so it is orthogonal to W. The stored
    kernel stays W; Keras' own layer overwrites it, and leaves sigma out of the gradient.

    Args:
        layer: A layer whose first weight has its outputs on the last axis: Dense, Conv2D,
            Embedding.
    """

    def __init__(self, layer, **kwargs):
        # Without autocast, W and u arrive here in float32 whatever precision the layer runs in.
        super().__init__(layer, autocast=False, **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        self.u = self.add_weight(
            name="u",
            shape=(self.layer.weights[0].shape[-1], 1),
            initializer=standard_normal(),
            trainable=False,
            aggregation="only_first_replica",
        )

    def call(self, x, training=False):
        stored = self.layer.weights[0]
        if training:
            kernel = tf.convert_to_tensor(stored)
            sigma, u = singular_value(kernel, self.u)
            self.u.assign(u)
            normalized = kernel / sigma
        else:
            normalized = prepared(divided, stored, self.u)
        with replaced([(stored, normalized)]):  # the layer finds this in place of its kernel
            return self.layer(x)

    def compute_output_spec(self, x, training=False):
        return self.layer.compute_output_spec(x)  # without tracing the power iteration


def divided(kernel, u):
    """A kernel divided by its largest singular value, as inference has it."""
    kernel = tf.convert_to_tensor(kernel)
    return kernel / singular_value(kernel, u)[0]


def standard_normal():
    return keras.initializers.RandomNormal(stddev=1.0)
