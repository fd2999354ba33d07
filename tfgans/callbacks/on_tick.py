"""Base of the callbacks that act every so many steps."""

import keras
import numpy as np


class OnTick(keras.callbacks.Callback):
    """Calls `on_tick(step, logs)` every `tick` steps with the mean of each loss term since then.

    Args:
        tick: Steps between ticks.

    Attributes:
        recent: The logs of each step since the last tick.
    """

    def __init__(self, tick):
        super().__init__()
        self.tick, self.recent = tick, []

    def on_train_batch_end(self, batch, logs=None):
        self.recent.append(logs)
        step = self.model.now
        if step % self.tick == 0:
            self.on_tick(step, self.means())
            self.recent = []

    def means(self):
        names = self.recent[-1]
        return {n: float(np.mean([logs[n] for logs in self.recent if n in logs])) for n in names}

    def on_tick(self, step, logs):
        raise NotImplementedError
