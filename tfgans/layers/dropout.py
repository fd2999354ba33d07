"""Dropout whose mask is drawn like every other random number of a training step."""

import keras
import tensorflow as tf

from tfgans import random


@keras.saving.register_keras_serializable("tfgans")
class Dropout(keras.layers.Layer):
    """Zeroes a part of the inputs in training and scales the rest up (Srivastava et al., 2014).

    Keras' own layer draws from a generator that is neither saved nor different on each replica.

    Args:
        rate: The part that is zeroed.
        always: In use too: dropout as a source of noise.
    """

    def __init__(self, rate, always=False, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.always = rate, always

    def call(self, x, training=False):
        if not (training or self.always) or self.rate == 0:
            return x
        kept = random.uniform(tf.shape(x)) >= self.rate
        return tf.where(kept, x / (1.0 - self.rate), 0.0)

    def compute_output_shape(self, input_shape):
        return input_shape
