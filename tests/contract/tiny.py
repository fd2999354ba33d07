"""A tiny model and a few steps of it, for every test of the contract."""

import importlib
import pathlib
import sys

import tensorflow as tf

from tfgans import training
from tfgans.config import Config

TESTS = pathlib.Path(__file__).parent.parent
sys.path.append(str(TESTS / "models"))


def contract(name, key, default):
    """The entry `key` of the model's own `CONTRACT`, in tests/models/test_<name>.py."""
    return getattr(importlib.import_module(f"test_{name}"), "CONTRACT", {}).get(key, default)


def tiny(name, **changes):
    settings = Config.load(name, "tiny")
    settings.model |= changes
    return settings


def new(name, precision="float32", eager=True, **changes):
    """A tiny model, run without compiling: a few steps are over before a graph is made."""
    settings = tiny(name, **changes)
    settings.train.precision = precision
    source = training.resolve(settings)
    model = training.build(settings)
    model.compile(settings.optimizers, run_eagerly=eager)
    return model, settings, source


def batches(model, settings, source):
    return training.batches(tf.distribute.get_strategy(), model, source, settings)


def fit(model, settings, source, steps, callbacks=()):
    return model.fit(
        batches(model, settings, source),
        steps_per_epoch=steps,
        callbacks=list(callbacks),
        shuffle=False,
        verbose=0,
    ).history
