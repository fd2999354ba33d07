"""Callbacks that a configuration names: `train.callbacks`."""

import importlib
import os
import sys

import keras

from tfgans.callbacks.on_tick import OnTick
from tfgans.errors import BadInput


def given_callback(entry, tick):
    """Makes a callback from its entry in a configuration.

    Args:
        entry: {"class": dotted name, argument: value, ...}.
        tick: Steps between ticks, the first argument of each `OnTick`.

    Raises:
        BadInput: There is no such class, it is no callback, or it takes other arguments.
    """
    name = entry["class"]
    cls = imported(name)
    if not (isinstance(cls, type) and issubclass(cls, keras.callbacks.Callback)):
        raise BadInput(f"train.callbacks names {name}, which is no subclass of a Keras callback.")
    arguments = {word: value for word, value in entry.items() if word != "class"}
    try:
        return cls(*([tick] if issubclass(cls, OnTick) else []), **arguments)
    except TypeError as error:
        raise BadInput(f"train.callbacks: {name} does not take {arguments}: {error}.") from error


def imported(name: str):
    """An object by its dotted name; its file may also lie in the folder where training starts.

    Raises:
        BadInput: There is no such module, or nothing of that name in it.
    """
    module, _, word = name.rpartition(".")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return getattr(importlib.import_module(module or name), word)
    except (ImportError, AttributeError) as error:
        raise BadInput(
            f"train.callbacks names {name!r}, and that cannot be imported: {error}. Wanted is "
            "module.Name, of an installed package or of a file in this folder."
        ) from error


class Send(OnTick):
    """Sends the loss terms of each tick to a service, by `function(terms, step=step)`.

    Args:
        tick: Steps between calls; each term is the mean of those steps.
        to: Dotted name of the function, such as "mlflow.log_metrics" or "wandb.log".
        begin: Dotted name of a function that is called once before, such as "wandb.init".
        arguments: Arguments of that function.
    """

    def __init__(self, tick, to, begin=None, **arguments):
        super().__init__(tick)
        self.to, self.send = to, imported(to)
        self.begin, self.arguments = begin and imported(begin), arguments

    def on_train_begin(self, logs=None):
        if self.begin:
            self.begin(**self.arguments)
            self.send = imported(self.to)  # `wandb.init` puts another `wandb.log` in its place

    def on_tick(self, step, logs):
        self.send(logs | self.model.watched(), step=step)
