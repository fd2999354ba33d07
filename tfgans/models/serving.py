"""Exports: a model as a SavedModel, for a server or for a process without tfgans."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.ops import machine
from tfgans.ops.exporting import exporting

SEED = tf.TensorSpec([], "int64", name="seed")
COUNT = tf.TensorSpec([], "int64", name="n")
FRAMES = tf.TensorSpec([], "int64", name="frames")  # to make
MACHINE = "machine.txt"
SIDE = 64  # of random inputs that may have any size
MACHINES = {  # that an exported model is made for
    "cpu": "runs at once on every machine; element-wise groups compiled by XLA in 16 bits",
    "gpu": "each endpoint compiled by XLA as a whole, at its first call with a new shape",
}


def export(endpoints, path, plain=False, made_for="cpu"):
    """Writes a SavedModel, and `machine.txt`: one line that says for which machine it is made.

    It holds only the networks that the endpoints read, their weights in part in the form that the
    layers need (`ops.exporting`).

    Args:
        endpoints: Name -> (function of tensors that returns a dict of named tensors, its input
            signature).
        path: Folder.
        plain: For a converter to another run time: few operations, at least one row.
        made_for: A key of MACHINES. Endpoints that XLA cannot compile stay as they are for "cpu";
            a line is printed for each.
    """
    archive, left = keras.export.ExportArchive(), []
    with exporting(plain):
        for name, (function, signature) in endpoints.items():
            if made_for == "gpu":
                one_row = map(tf.constant, random_inputs(signature, 1).values())
                function, reason = machine.whole(function, *one_row)
                if reason:
                    left.append(name)
                    print(f"{name}: not compiled for a GPU, XLA says: {reason}", flush=True)
            wrap = for_rows_alone if plain else for_no_rows_too
            function = wrap(function, signature)
            archive.add_endpoint(name, function, input_signature=signature)
        archive.write_out(str(path), verbose=False)
    line = f"{made_for}: {MACHINES[made_for]}"
    line += f"; not compiled: {', '.join(left)}" if left else ""
    pathlib.Path(path, MACHINE).write_text(line + "\n", encoding="utf-8")


def random_inputs(signature, n):
    """n rows for each input of an endpoint: name -> array."""
    draw, given = np.random.RandomState(n), {}
    for spec in signature:
        shape = (n, *(SIDE if side is None else side for side in spec.shape[1:]))
        if spec.shape.rank == 0:
            value = {"seed": 7, "n": n, "frames": 2}[spec.name]
        elif spec.dtype.is_floating:
            value = draw.uniform(-1, 1, shape)
        else:
            value = draw.randint(0, 2, shape)
        given[spec.name] = np.asarray(value, spec.dtype.as_numpy_dtype)
    return given


def for_no_rows_too(function, signature):
    """An endpoint that makes no rows of no rows: TensorFlow's convolutions fail on an empty batch.

    One row goes through the networks in its place, and is cut off again.
    """
    batches = [k for k, spec in enumerate(signature) if spec.shape.rank]
    counts = [k for k, spec in enumerate(signature) if spec.name == COUNT.name]
    if not batches and not counts:
        return function

    def endpoint(*inputs):
        inputs = list(inputs)
        n = inputs[counts[0]] if counts else tf.shape(inputs[batches[0]], "int64")[0]
        missing = tf.cast(n == 0, "int64")
        for k in counts:
            inputs[k] += missing
        for k in batches:
            rest = [[0, 0]] * (inputs[k].shape.rank - 1)
            inputs[k] = tf.pad(inputs[k], [[0, missing], *rest])
        return {name: value[:n] for name, value in function(*inputs).items()}

    return endpoint


def for_rows_alone(function, signature):
    """An endpoint without default arguments, which a SavedModel cannot store."""
    return lambda *inputs: function(*inputs)


def to_uint8(images):
    """[-1, 1] to 0..255 as the StyleGAN code does it: 127.5 x + 128, cut to integers."""
    return tf.cast(tf.clip_by_value(images * 127.5 + 128.0, 0.0, 255.0), "uint8")


def drawing(seed=None, n=1):
    """The random scope in which n things are drawn.

    Args:
        seed: The same seed gives the same things; None is a seed that nobody has used before.
        n: Their number, checked here.

    Raises:
        BadInput: n is no whole number, or below 1.
    """
    if not tf.is_tensor(n) and not (isinstance(n, (int, np.integer)) and n >= 1):
        raise BadInput(f"The number of things to make is a whole one, at least 1, not {n!r}.")
    return random.scope(int(np.random.SeedSequence().entropy % 2**40) if seed is None else seed)
