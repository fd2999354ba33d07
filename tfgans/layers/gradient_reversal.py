"""Gradient reversal — Domain-Adversarial Training of Neural Networks, section 4.2.

Ganin et al., JMLR 2016, arXiv:1505.07818.
"""

import keras
import tensorflow as tf


class GradientReversal(keras.layers.Layer):
    """The identity, whose gradient is multiplied by -strength.

    Between a network and a head it makes them opponents in one move: the head descends its loss,
    and the network before it climbs the same loss, `strength` times as fast.
    """

    def call(self, x, strength=1.0):
        strength = tf.cast(strength, x.dtype)

        @tf.custom_gradient
        def reversed_(x):
            return tf.identity(x), lambda gradient: -strength * gradient

        return reversed_(x)
