"""Minibatch standard deviation (ProGAN, Karras et al., ICLR 2018, arXiv:1710.10196, section 3)."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgans")
class MinibatchStdDev(keras.layers.Layer):
    """Appends the standard deviation over a group of samples as constant feature maps.

    A discriminator that sees it can tell a batch of too similar images. Of the M = N / group groups
    of a batch, sample i belongs to group i mod M, as in the official code.

    Args:
        group: Samples per group, at most; None takes the whole batch. The batch must be a multiple
            of it, or smaller than it.
        features: How many maps; the channels are averaged in that many equal parts.
    """

    def __init__(self, group=4, features=1, dtype="float32", **kwargs):
        # Not the policy's dtype: squares overflow in float16.
        super().__init__(dtype=dtype, **kwargs)
        self.group, self.features = group, features

    def call(self, x):
        n, height, width, channels = x.shape  # n must be known: it is in training
        group = n if self.group is None else min(self.group, n)
        y = tf.reshape(
            x, [group, -1, height, width, self.features, channels // self.features]
        )  # [G, M, H, W, F, C/F]
        y = tf.sqrt(tf.math.reduce_variance(y, axis=0) + 1e-8)  # [M, H, W, F, C/F]
        y = tf.reduce_mean(y, axis=[1, 2, 4])  # [M, F]
        y = tf.tile(y, [group, 1])[:, tf.newaxis, tf.newaxis]  # [N, 1, 1, F]
        return tf.concat([x, tf.broadcast_to(y, [n, height, width, self.features])], axis=-1)
