"""Optimizers and schedules that Keras lacks."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgans")
class Adam(keras.optimizers.Adam):
    """Adam as its paper states it (Kingma & Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1).

    Epsilon is added to the bias-corrected root, as in PyTorch. Keras, TensorFlow and Torch 7 (the
    code of BEGAN, InfoGAN, LSGAN, pix2pix and others) add it to the uncorrected root. With
    beta_2 = 0.99, their first steps have in effect an epsilon ten times as large. A comparison
    with an official training step shows that, but only where gradients are as small as epsilon.

    One kernel updates a variable in one pass over memory, where Keras makes a dozen. Gradients of
    embeddings are summed for each row first, as for any weight; Keras squares the summands one by
    one.

    Args:
        learning_rate: A number or a schedule.
        beta_1: Decay of the mean of the gradients.
        beta_2: Decay of the mean of their squares.
        epsilon: Added to the root; Keras' default is 1e-7.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8, **kwargs):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)

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
class RisingMomentumSGD(keras.optimizers.SGD):
    """SGD whose momentum rises linearly to `final_momentum` over `rise_steps` updates.

    Args:
        learning_rate: A number, or a schedule of Keras.
        momentum: Momentum at the first update, in [0, 1].
        final_momentum: Momentum from update `rise_steps` on.
        rise_steps: Number of updates over which it rises.
        **kwargs: As `keras.optimizers.SGD`.
    """

    def __init__(self, learning_rate, momentum=0.5, final_momentum=0.7, rise_steps=1, **kwargs):
        super().__init__(learning_rate, momentum=momentum, **kwargs)
        self.final_momentum, self.rise_steps = final_momentum, rise_steps

    def build(self, variables):
        super().build(variables)
        if not self.momentums:  # Keras makes none for a momentum of 0
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        part = tf.minimum(tf.cast(self.iterations, "float32") / self.rise_steps, 1.0)
        momentum = self.momentum + part * (self.final_momentum - self.momentum)
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, momentum * velocity - tf.cast(learning_rate, "float32") * gradient)
        self.assign_add(variable, velocity)

    def get_config(self):
        rise = {"final_momentum": self.final_momentum, "rise_steps": self.rise_steps}
        return super().get_config() | rise


@keras.saving.register_keras_serializable("tfgans")
class HoldThenDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is constant at first, and then falls until it is constant again.

    Args:
        rate: Learning rate at the beginning.
        hold_steps: Updates at this rate; 0 for a fall from the start.
        decay_steps: Updates over which the rate falls.
        final: Last rate, as a part of the first one.
        exponential: Fall by the same factor in each update; False for a straight line.
    """

    def __init__(self, rate, hold_steps, decay_steps, final=0.0, exponential=False):
        self.rate, self.hold_steps, self.decay_steps = rate, hold_steps, decay_steps
        self.final, self.exponential = final, exponential

    def __call__(self, step):
        left = self.hold_steps + self.decay_steps - tf.cast(step, "float32")
        left /= max(self.decay_steps, 1)  # without such steps it falls at once
        left = tf.clip_by_value(left, 0.0, 1.0)
        if self.exponential:
            return self.rate * self.final ** (1.0 - left)
        return self.rate * (self.final + (1.0 - self.final) * left)

    def get_config(self):
        return {
            "rate": self.rate,
            "hold_steps": self.hold_steps,
            "decay_steps": self.decay_steps,
            "final": self.final,
            "exponential": self.exponential,
        }


@keras.saving.register_keras_serializable("tfgans")
class InTurn(keras.optimizers.schedules.LearningRateSchedule):
    """One schedule for some updates, and then another one from its beginning.

    Args:
        first: The schedule of the first updates.
        steps: Their number.
        then: The schedule after them.
    """

    def __init__(self, first, steps, then):
        self.first, self.steps, self.then = first, steps, then

    def __call__(self, step):
        step = tf.cast(step, "float32")
        after = tf.maximum(step - self.steps, 0.0)
        return tf.where(step < self.steps, self.first(step), self.then(after))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {"first": serialize(self.first), "steps": self.steps, "then": serialize(self.then)}

    @classmethod
    def from_config(cls, config):
        read = keras.saving.deserialize_keras_object
        return cls(read(config["first"]), config["steps"], read(config["then"]))


@keras.saving.register_keras_serializable("tfgans")
class InverseDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that falls as rate / (1 + factor * step / decay_steps)^power.

    It is the policy "inv" of Caffe.

    Args:
        rate: Learning rate at the beginning.
        decay_steps: Updates after which the denominator is (1 + factor)^power.
        factor: See the formula.
        power: See the formula.
    """

    def __init__(self, rate, decay_steps, factor, power):
        self.rate, self.decay_steps = rate, decay_steps
        self.factor, self.power = factor, power

    def __call__(self, step):
        part = tf.cast(step, "float32") / self.decay_steps
        return self.rate * (1.0 + self.factor * part) ** -self.power

    def get_config(self):
        return {
            "rate": self.rate,
            "decay_steps": self.decay_steps,
            "factor": self.factor,
            "power": self.power,
        }
