"""Adam as its paper states it (Kingma & Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1)."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgans")
class Adam(keras.optimizers.Adam):
    """Adam with epsilon added to the bias-corrected root, as in PyTorch.

    Keras adds it to the uncorrected root, which in the first steps with beta_2 = 0.99 amounts to an
    epsilon ten times as large: enough to see in a comparison with an official training step.
    """

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        gradient = tf.cast(gradient, dtype)
        t = tf.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = tf.cast(self.beta_1, dtype), tf.cast(self.beta_2, dtype)
        mean = self._momentums[self._get_variable_index(variable)]
        square = self._velocities[self._get_variable_index(variable)]
        self.assign_add(mean, (gradient - mean) * (1 - beta_1))
        self.assign_add(square, (tf.square(gradient) - square) * (1 - beta_2))
        root = tf.sqrt(square / (1 - beta_2**t)) + self.epsilon
        step = tf.cast(learning_rate, dtype) / (1 - beta_1**t)
        self.assign_sub(variable, step * mean / root)
