"""Stops a training when a loss term or a weight is NaN or infinite."""

import numpy as np
import tensorflow as tf

from tfgans.callbacks.on_tick import OnTick
from tfgans.errors import command


class StopOnNaN(OnTick):
    """Stops the training when a loss term or a weight is NaN or infinite, and names the first.

    It checks before each snapshot, so all snapshots are good.
    """

    def on_tick(self, step, logs):
        first = step - len(self.recent) + 1
        for number, terms in enumerate(self.recent, first):
            if bad := [name for name, value in terms.items() if not np.isfinite(value)]:
                self.stop(f"At step {number} the loss was not finite any more: {', '.join(bad)}.")
        # The last step may have spoiled weights that no loss has used yet.
        weights, networks = self.model.variables, self.model.layers
        names = {id(w): w.path for w in weights}
        names |= {
            id(w): f"{network.name}/{w.path}" for network in networks for w in network.weights
        }
        if bad := [names[id(w)] for w in weights if not is_finite(w)]:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            self.stop(f"After step {step} weights were not finite any more: {bad[0]}{more}.")

    def stop(self, what):
        raise FloatingPointError(
            f"{what} The last snapshot is from before that. Cheap things to try from there: a "
            "lower learning rate, a larger batch, train.precision: float32, train.on_nan: reload. "
            f"`{command('data')} check` finds NaN and infinite values in the data."
        )

    def on_train_end(self, logs=None):  # the training may stop between two ticks
        self.on_tick(int(self.model.step.numpy()), {})


def is_finite(weight):
    return bool(tf.reduce_all(tf.math.is_finite(tf.cast(weight.value, "float32"))))
