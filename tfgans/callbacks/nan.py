"""Numbers that are not finite end a training."""

import numpy as np
import tensorflow as tf

from tfgans.callbacks.on_tick import OnTick


class StopOnNaN(OnTick):
    """Ends the training when a loss term or a weight is no longer a number, and names the first.

    It looks before a snapshot is made, so all snapshots are good.
    """

    def on_tick(self, step, logs):
        first = step - len(self.recent) + 1
        for number, terms in enumerate(self.recent, first):
            if bad := [name for name, value in terms.items() if not np.isfinite(value)]:
                self.stop(f"At step {number} the loss was not finite any more: {', '.join(bad)}.")
        # The last step's gradient may have spoiled weights that no loss has met yet.
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
            "lower learning rate, a larger batch, train.precision: float32, train.on_nan: reload; "
            "and `tools/data.py check` finds data that are no numbers."
        )

    def on_train_end(self, logs=None):  # stopped in the middle of a tick
        self.on_tick(int(self.model.step.numpy()), {})


def is_finite(weight):
    return bool(tf.reduce_all(tf.math.is_finite(tf.cast(weight.value, "float32"))))
