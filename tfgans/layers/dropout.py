"""Dropout with masks from `tfgans.random`."""

import keras
import tensorflow as tf

from tfgans import random


class Dropout(keras.layers.Layer):
    """Sets a part of the inputs to 0 in training, and scales up the rest (Srivastava et al., 2014).

    The random numbers of Keras' own layer are not saved and are the same on all replicas.

    Args:
        rate: Share of the inputs that is set to 0, in [0, 1).
        always: Drop in inference too: dropout as a source of noise.
        whole_maps: All positions of a channel of [N, H, W, C] are dropped or kept together.
    """

    def __init__(self, rate, always=False, whole_maps=False, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.always, self.whole_maps = rate, always, whole_maps

    def call(self, x, training=False):
        if not (training or self.always) or self.rate == 0:
            return x
        shape = tf.shape(x)
        if self.whole_maps:
            shape = tf.stack([shape[0], 1, 1, shape[3]])
        kept = random.uniform(shape) >= self.rate
        # No `tf.where`: with its scalar zero, TensorFlow's layout optimizer on a GPU gives up.
        return x / (1.0 - self.rate) * tf.cast(kept, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
