"""Keras' registered names: one class for each, and only for classes that saved files name.

A `.keras` file names the model's class, its optimizers and their schedules. It does not name the
layers: the model's constructor builds all of its networks.
"""

import importlib
import pkgutil

import keras
import numpy as np
import pytest

import tfgans
from tfgans import training
from tfgans.config import Config
from tfgans.models import MODELS
from tfgans.models.base import BaseModel

SAVED = (
    BaseModel,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
)


def registered():
    """Pairs of a registered name and its class, of all classes of the package."""
    for found in pkgutil.walk_packages(tfgans.__path__, "tfgans."):
        if found.name.startswith("tfgans.app."):  # needs Gradio, and registers nothing
            continue
        module = importlib.import_module(found.name)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == found.name:
                name = keras.saving.get_registered_name(cls)
                if name != cls.__name__:
                    yield name, cls


def test_each_name_has_one_class_which_a_saved_file_names():
    owners = {}
    for name, cls in registered():
        assert name not in owners, f"{owners[name]} and {cls} are both {name}"
        owners[name] = cls
        assert issubclass(cls, SAVED) or not name.startswith("tfgans>"), f"{cls} is {name}"
    assert set(MODELS.values()) < set(owners.values())


@pytest.mark.thorough
@pytest.mark.parametrize("name", MODELS)
def test_an_average_of_each_network_needs_no_registered_layer(name):
    """`ema_of` builds a copy from the classes and configurations of the layers."""
    model = training.build(Config.load(name, "tiny"))
    networks = [network for own in model.players().values() for network in own]
    assert networks
    for network in networks:
        copy = model.ema_of(network)
        assert [type(layer) for layer in copy._flatten_layers()] == [
            type(layer) for layer in network._flatten_layers()
        ]
        for a, b in zip(copy.weights, network.weights, strict=True):
            np.testing.assert_array_equal(a, b)
