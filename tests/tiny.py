"""A tiny model and a few steps of it; what its own tests say about it.

`CONTRACT` in tests/models/test_<name>.py says in what a model differs from the others, where it
does:

- games: list of model settings, each a game to play with planted scores; only the tiny one. Empty
  for a model without a discriminator.
- game_stage: number of the stage in which the scores count; the last one.
- replace_score: (rows, outputs, score) -> outputs of a discriminator with the score in their place,
  or None for no score; one channel is a score.
- is_real: (rows, colors) -> which rows belong to the white batch.
- prepare: called with the model before a step with planted scores.
- spectators: players whose loss has no score.
- policies: players whose loss is -log p times a reward.
- like_one_device: settings in which no loss looks across the batch.
- rate: learning rate where devices are compared, 1e-3.
- atol: name of a variable -> by how much it may differ between devices, 1e-6.
- exported_atol: by how much an export may differ, 2e-6.
- per_part: names of variables that follow each part of a batch by itself.
- answer: shape of the endpoint's answer to an image of 8x8, for a model of images of any size; or
  of its clips, where they differ from those of the data.
- served: names of the networks in an export; the generator that samples.
- prepared: class of a layer -> layer -> how many numbers an export holds beyond its weights.
"""

import contextlib
import importlib
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state

from tfgans import training
from tfgans.config import Config

TESTS = pathlib.Path(__file__).parent
KEYS = {line.split(":")[0][2:] for line in __doc__.splitlines() if line.startswith("- ")}
sys.path.append(str(TESTS / "models"))


def contract(name, key, default):
    """The value in the model's own tests, or the one for most models."""
    assert key in KEYS
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


def fit(model, settings, source, steps, callbacks=()):
    """Trains; returns the terms of each step."""
    strategy = tf.distribute.get_strategy()
    return model.fit(
        training.batches(strategy, model, source, settings),
        steps_per_epoch=steps,
        callbacks=list(callbacks),
        shuffle=False,
        verbose=0,
    ).history


def inputs(signature, n, seed):
    """Inputs for an endpoint: n rows of each tensor, the seed, n itself, or a number of frames."""
    given = {}
    for spec in signature:
        sides = [8 if side is None else side for side in spec.shape[1:]]  # images of any size
        keys, shape = np.random.RandomState(seed), (n, *sides)
        if spec.shape.rank == 0:
            value = {"seed": seed, "n": n, "frames": 2}[spec.name]
        elif spec.dtype.is_floating:
            value = keys.uniform(-1, 1, shape)
        else:
            value = keys.randint(0, 2, shape)
        given[spec.name] = tf.cast(value, spec.dtype)
    return given


def use(model, n=3, seed=7):
    """Everything a model offers, on n rows of input: "endpoint/output" -> array."""
    return {
        f"{endpoint}/{name}": value.numpy()
        for endpoint, (function, signature) in model.endpoints().items()
        for name, value in function(*inputs(signature, n, seed).values()).items()
    }


def assert_same_use(first, second, atol=0.0):
    assert first.keys() == second.keys()
    for name, value in first.items():
        # A picture of bytes is cut to integers: one step for any difference.
        step = atol if value.dtype.kind == "f" else np.ceil(atol)
        assert value.dtype == second[name].dtype, name
        np.testing.assert_allclose(
            value.astype("float64"), second[name], rtol=0, atol=step, err_msg=name
        )


def samples(model):
    """True if a seed is enough; the other models work on given images."""
    return "sample" in model.endpoints()


def state(model):
    """All numbers of a model and of its optimizers."""
    variables = list(model.variables)
    for optimizer in model.optimizers.values():
        variables += optimizer.variables
    return [v.numpy() for v in variables]


@contextlib.contextmanager
def without_numbers():
    """Networks that are built inside have shapes and no numbers: large ones are quick to count."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    # Else the next scope would fill them.
    global_state.set_global_attribute("uninitialized_variables", [])


def trainable(network):
    """The number of trained weights of a network."""
    return sum(int(np.prod(w.shape)) for w in network.trainable_variables)
