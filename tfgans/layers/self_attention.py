"""Self-attention over the positions of a map (Zhang et al., 2019, arXiv:1805.08318, sec. 3)."""

import math

import keras
import tensorflow as tf

from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.ops.attention import attend, attention_weights


class SelfAttention(keras.layers.Layer):
    """x + gain * o, where o at each position is a weighted mean over all positions.

    theta, phi and g are 1x1 convolutions of x without a bias; theta and phi have C // 8 channels.
    A position i takes softmax_j(theta_i . phi_j) of g_j. `gain` is a scalar that starts at 0, so
    that the layer starts as the identity. Called with x [N, H, W, C], it returns the same shape.

    Args:
        pooled: phi and g are max-pooled 2x2, g has C // 2 channels, and one more 1x1 convolution
            leads back to C, as in the authors' code and in BigGAN. False: all positions, and g has
            C channels, as the paper's formulas have it and as DeOldify's networks do.
        spectral_norm: The kernels are spectrally normalized.
        kernel_initializer: Start of the kernels, a Keras initializer or its name.
    """

    def __init__(
        self, pooled=True, spectral_norm=True, kernel_initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        self.pooled, self.spectral_norm = pooled, spectral_norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, x_shape):
        channels = x_shape[-1]
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.theta, self.phi = self.conv(channels, narrow), self.conv(channels, narrow)
        self.g = self.conv(channels, half if self.pooled else channels)
        if self.pooled:
            self.o = self.conv(half, channels)
        self.gain = self.add_weight(name="gain", shape=(), initializer="zeros", autocast=False)

    def conv(self, channels, filters):
        layer = keras.layers.Conv2D(
            filters,
            1,
            use_bias=False,
            kernel_initializer=self.kernel_initializer.clone(),  # other numbers for each kernel
            dtype=self.dtype_policy,
        )
        layer = SpectralNorm(layer, dtype=self.dtype_policy) if self.spectral_norm else layer
        layer.build((None, None, None, channels))
        return layer

    def call(self, x, training=False):
        query, key, value = self.parts(x, training)
        o = tf.reshape(attend(query, key, value), [-1, *sides(x), value.shape[-1]])
        o = self.o(o, training=training) if self.pooled else o
        return x + tf.cast(self.gain, x.dtype) * tf.cast(o, x.dtype)

    def parts(self, x, training=False):
        """theta [N, H W, C // 8], phi and g of x [N, H, W, C] at the positions attended to."""
        query, key, value = (f(x, training=training) for f in (self.theta, self.phi, self.g))
        if self.pooled:
            key, value = (tf.nn.max_pool2d(part, 2, 2, "VALID") for part in (key, value))
        return [
            tf.reshape(part, [-1, math.prod(sides(part)), part.shape[3]])
            for part in (query, key, value)
        ]

    def attention(self, x):
        """Where each position of x [N, H, W, C] looks, float32 [N, H, W, H', W'].

        For each position the weights of all that it looks at sum to 1; H' and W' are H // 2 and
        W // 2 if the layer pools.
        """
        query, key, _ = self.parts(x)
        height, width = sides(x)
        seen = (height // 2, width // 2) if self.pooled else (height, width)
        return tf.reshape(attention_weights(query, key), [-1, height, width, *seen])

    def compute_output_shape(self, x_shape):
        return x_shape

    def get_config(self):
        return super().get_config() | {
            "pooled": self.pooled,
            "spectral_norm": self.spectral_norm,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def sides(x):
    """Height and width of [N, H, W, C]: integers where the graph knows them."""
    return [side or tf.shape(x)[k] for k, side in enumerate(x.shape[1:3], start=1)]
