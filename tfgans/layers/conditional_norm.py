"""Conditional batch normalization (Dumoulin et al., ICLR 2017, arXiv:1610.07629)."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgans")
class ConditionalBatchNorm(keras.layers.Layer):
    """Batch normalization whose gain and bias are looked up by class.

    Called with features [N, H, W, C] and label vectors [N, K]. The tables gamma (starts at 1) and
    beta (starts at 0) are [K, C].

    Args:
        momentum: Of the moving averages.
        epsilon: Added to the variance.
    """

    def __init__(self, momentum=0.9, epsilon=2e-5, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon
        self.norm = keras.layers.BatchNormalization(
            momentum=momentum, epsilon=epsilon, center=False, scale=False, dtype=self.dtype_policy
        )

    def build(self, x_shape, label_shape):
        table = (label_shape[-1], x_shape[-1])
        self.gamma = self.add_weight(name="gamma", shape=table, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=table, initializer="zeros")
        self.norm.build(x_shape)

    def call(self, x, label, training=False):
        gamma, beta = tf.matmul(label, self.gamma), tf.matmul(label, self.beta)  # [N, C]
        x = self.norm(x, training=training)
        return x * gamma[:, tf.newaxis, tf.newaxis] + beta[:, tf.newaxis, tf.newaxis]

    def compute_output_shape(self, x_shape, label_shape):
        return x_shape
