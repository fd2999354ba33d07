"""Ctrl-C and SIGTERM: an end after the current step."""

import signal

import keras


class StopOnSignal(keras.callbacks.Callback):
    """Ends the training after the current step on Ctrl-C or SIGTERM; a second one ends it at once.

    Attributes:
        stopped: Whether that happened.
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
        """Lets signals do again what they did before."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
