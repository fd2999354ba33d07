"""Stops a training after the current step on Ctrl-C or SIGTERM."""

import signal

import keras


class StopOnSignal(keras.callbacks.Callback):
    """Stops after the current step on Ctrl-C or SIGTERM; a second signal stops at once.

    Attributes:
        stopped: True after a signal.
    """

    stopped = False

    def __init__(self):
        super().__init__()
        numbers = (signal.SIGINT, signal.SIGTERM)
        self.before = {number: signal.signal(number, self.stop) for number in numbers}

    def stop(self, number, frame):
        print("\nStopping after this step, to save it. Once more stops at once, unsaved.")
        self.stopped = True
        self.give_back()

    def on_train_batch_end(self, batch, logs=None):
        if self.stopped:
            self.model.stop_training = True

    def give_back(self):
        """Restores the previous signal handlers."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
