"""Optimizers and schedules that Keras lacks."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgans")
class Adam(keras.optimizers.Adam):
    """Adam as its paper states it (Kingma & Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1).

    Epsilon is added to the bias-corrected root, as in PyTorch.

    Keras, TensorFlow and Torch 7 (the code of BEGAN, InfoGAN, LSGAN, pix2pix and others) add it to
    the uncorrected root, which in the first steps with beta_2 = 0.99 amounts to an epsilon ten
    times as large: enough to see in a comparison with an official training step, and only where
    gradients are about as small as epsilon. One kernel does the whole update of a variable, in
    place of Keras' dozen passes over memory. Gradients of embeddings are summed for each row
    first, as for any weight; Keras squares their parts one by one.
    """

    def apply(self, grads, trainable_variables=None):
        t = tf.cast(self.iterations + 1, "float32")
        beta_2_power = tf.constant(self.beta_2) ** t
        # The kernel adds its epsilon to the uncorrected root.
        epsilon = self.epsilon * tf.sqrt(1 - beta_2_power)
        self.now = tf.constant(self.beta_1) ** t, beta_2_power, epsilon
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        beta_1_power, beta_2_power, epsilon = self.now
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=epsilon,
            grad=gradient,
        )


@keras.saving.register_keras_serializable("tfgans")
class HoldThenDecay(keras.optimizers.schedules.LearningRateSchedule):
    """`rate` for `hold_steps` updates, then linearly to 0 over `decay_steps`."""

    def __init__(self, rate, hold_steps, decay_steps):
        self.rate, self.hold_steps, self.decay_steps = rate, hold_steps, decay_steps

    def __call__(self, step):
        part = (tf.cast(step, "float32") - self.hold_steps) / self.decay_steps
        return self.rate * (1.0 - tf.clip_by_value(part, 0.0, 1.0))

    def get_config(self):
        return {
            "rate": self.rate, "hold_steps": self.hold_steps, "decay_steps": self.decay_steps
        }  # fmt: skip
