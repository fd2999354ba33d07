"""A loaded model proves that it is the saved one: digests of its variables lie beside them.

Keras walks through the parts of a model to save and to load it. A part that one version does not
find, such as a layer in a list of lists before Keras 3.15, is left out without a word, and its
weights start anew. So each file also holds the path, shape and checksum of every variable, which
are compared after loading; and what was just written is read back and compared.
"""

import functools
import hashlib
import json

import keras
import numpy as np

from tfgans.durable import Altered


def variables_of(model) -> dict:
    """All that a model saves: "weights", and for each player "optimizer of <player>"."""
    optimizers = {f"optimizer of {player}": o.variables for player, o in model.optimizers.items()}
    return {"weights": model.weights} | optimizers


def checksum(variable) -> str:
    """The first 64 bits of the SHA-256 of a variable's value, as hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(variable.numpy())).hexdigest()[:16]


class Digest(keras.layers.Layer):
    """The part of a model that saves the digests of all its variables, and compares them.

    Keras must save and load this part after all others of the model.

    Args:
        variables: Function that gives what `variables_of(model)` gives. (A model that was an
            attribute of this layer would count as a part of it.)
    """

    def __init__(self, variables):
        super().__init__(name="digest")
        self.variables_of_model = variables
        self.built = True

    def digests(self):
        """Name of a group of variables -> [path, shape, checksum] of each."""
        return {
            group: [[v.path, list(v.shape), checksum(v)] for v in variables]
            for group, variables in self.variables_of_model().items()
        }

    def save_own_variables(self, store):
        text = json.dumps(self.digests())
        store["digests"] = np.frombuffer(text.encode(), "uint8")

    def load_own_variables(self, store):
        if "digests" not in store.keys():
            return  # a file from before digests
        saved, loaded = json.loads(np.asarray(store["digests"]).tobytes()), self.digests()
        for group in saved.keys() & loaded.keys():  # a model that is not compiled has one group
            if len(saved[group]) != len(loaded[group]):
                raise Altered(
                    f"The file holds {len(saved[group])} variables as {group}, and the model "
                    f"that was built for it has {len(loaded[group])}. Load it with the version of "
                    "tfgans that saved it."
                )
            for (path, *before), (_, *now) in zip(saved[group], loaded[group], strict=True):
                if before != now:
                    raise Altered(
                        f"{path} ({group}) was saved with shape {before[0]} and checksum "
                        f"{before[1]}, and was loaded with {now[0]} and {now[1]}: the loaded model "
                        f"is not the saved one. Load it with the versions of tfgans and Keras "
                        f"that saved it; this is Keras {keras.__version__}."
                    )


def reason(error: ValueError) -> str:
    """The first reason in Keras' list of the parts that it could not load."""
    paragraphs = str(error).split("\n\n")
    return paragraphs[1] if len(paragraphs) > 2 else str(error)


def check_saved(model, path):
    """Reads a file as if to load it into a model, whose variables stay as they are, and compares.

    Args:
        model: The model that was saved.
        path: The `.keras` file.

    Raises:
        Altered: A variable does not come back as it was saved. The message names the first one.
    """
    groups, loaded = variables_of(model), {}
    variables = [variable for group in groups.values() for variable in group]
    for variable in variables:
        variable.assign = functools.partial(_record, loaded, id(variable))
    try:
        model.load_weights(path)
    except ValueError as error:
        raise Altered(f"{path} was just written and cannot be read: {reason(error)}") from error
    finally:
        for variable in variables:
            del variable.assign
    for group, members in groups.items():
        for variable in members:
            value = loaded.get(id(variable))
            if value is None or not np.array_equal(value, variable.numpy(), equal_nan=True):
                fault = "is not in it" if value is None else "has another value in it"
                raise Altered(
                    f"{path} was just written, and {variable.path} ({group} of {model.name}) "
                    f"{fault}: nobody can load this model from it. Keras {keras.__version__} saves "
                    "layers that are attributes of a layer, or members of a list that is one."
                )


def _record(loaded, key, value):
    loaded[key] = np.asarray(value)
