"""Minibatch standard deviation (ProGAN, Karras et al., ICLR 2018, arXiv:1710.10196, section 3)."""

import keras
import tensorflow as tf

from tfgans.errors import BadInput


class MinibatchStdDev(keras.layers.Layer):
    """Appends the standard deviation over a group of samples as constant feature maps.

    It shows the discriminator how similar the images of a batch are. A batch of N samples has
    M = N / group groups; sample i belongs to group i mod M, as in the official code.

    Args:
        group: Samples in a group. The batch must be a multiple of it; a smaller batch is one group,
            and so is every batch where `group` is 0 or None.
        features: Number of maps; each averages an equal part of the channels.
        dtype: float32 whatever the policy, because squares overflow in float16.

    Raises:
        BadInput: A batch cannot be divided into groups.
    """

    def __init__(self, group=4, features=1, dtype="float32", **kwargs):
        # Not the policy's dtype: squares overflow in float16.
        super().__init__(dtype=dtype, **kwargs)
        self.group, self.features = group, features

    def call(self, x):
        n, rows, columns, channels = x.shape  # n is static in each training step
        if n is None:
            n = tf.shape(x)[0]
            group = tf.minimum(self.group or n, n)
        else:
            group = min(self.group or n, n)
            if n % group:
                raise BadInput(
                    f"The discriminator compares images in groups of {group}, and {n} images at a "
                    "time on one device cannot be divided into such groups. Change "
                    "data.batch_size, train.accumulate or model.minibatch_group."
                )
        y = tf.reshape(
            x, [group, -1, rows, columns, self.features, channels // self.features]
        )  # [G, M, H, W, F, C/F]
        y = tf.sqrt(tf.math.reduce_variance(y, axis=0) + 1e-8)  # [M, H, W, F, C/F]
        y = tf.reduce_mean(y, axis=[1, 2, 4])  # [M, F]
        y = tf.tile(y, [group, 1])[:, tf.newaxis, tf.newaxis]  # [N, 1, 1, F]
        return tf.concat([x, tf.broadcast_to(y, [n, rows, columns, self.features])], axis=-1)
