"""Virtual batch normalization (Salimans et al., NIPS 2016, arXiv:1606.03498, section 3.5)."""

import keras
import tensorflow as tf

from tfgans.errors import BadInput

LIVE = ("sample", "batch")


class VirtualBatchNorm(keras.layers.Layer):
    """Normalizes samples by the statistics of a reference batch and, for a small part, their own.

    The first rows of the input are the reference. They are normalized by their own mean and mean
    square; the other rows, the live ones, by

        m = c m_live + (1 - c) m_reference        and likewise the mean square, with c = 1 / (R + 1)

    for a reference of R rows. The layer computes in float32.

    Args:
        size: Rows of the reference, R; None for half of the rows.
        live: "sample" for statistics of each live row by itself, as in the paper; "batch" for those
            of all live rows together, as in the code of SEGAN.
        gain: Multiply by a gain, which begins in N(1, 0.02^2). A bias is always added.

    Raises:
        BadInput: `live` is another word.
    """

    def __init__(self, size=None, live="sample", gain=False, **kwargs):
        super().__init__(**kwargs)
        self.size, self.live, self.gain = size, live, gain
        if live not in LIVE:
            raise BadInput(f"`live` must be one of {', '.join(LIVE)}: {live!r}.")

    def build(self, input_shape):
        channels, near_one = input_shape[-1:], keras.initializers.RandomNormal(1.0, 0.02)
        if self.gain:
            self.gamma = self.add_weight(name="gamma", shape=channels, initializer=near_one)
        self.bias = self.add_weight(name="bias", shape=channels, initializer="zeros")

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs):
        x = tf.cast(inputs, "float32")
        size = self.size or tf.shape(x)[0] // 2
        reference, live = x[:size], x[size:]
        space = list(range(1, x.shape.rank - 1))  # H and W, or time, or nothing
        mean, variance = tf.nn.moments(reference, [0, *space], keepdims=True)
        own_axes = [0, *space] if self.live == "batch" else space
        own_mean, own_variance = tf.nn.moments(live, own_axes, keepdims=True)
        share = 1.0 / (tf.cast(size, "float32") + 1.0)
        # The mixture of means and mean squares, in a form that does not cancel.
        mixed = mean + share * (own_mean - mean)
        mixed_variance = (1.0 - share) * (variance + tf.square(mean - mixed))
        mixed_variance += share * (own_variance + tf.square(own_mean - mixed))
        reference = (reference - mean) * tf.math.rsqrt(variance + 1e-5)
        live = (live - mixed) * tf.math.rsqrt(mixed_variance + 1e-5)
        normalized = tf.cast(tf.concat([reference, live], axis=0), inputs.dtype)
        return self.gamma * normalized + self.bias if self.gain else normalized + self.bias
