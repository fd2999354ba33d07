"""Random numbers as a function of (seed, step, replica, draw number).

A network or a loss draws noise with `normal(shape)` or `uniform(shape)`. The surrounding scope
decides the numbers: `BaseModel` opens one around each training step, and `sample(seed=...)` opens
one around each call. There is no random state to save: a resumed run draws the same numbers as an
uninterrupted run, and each replica of a distribution strategy draws its own numbers.

TensorFlow's stateful generators and Keras' `SeedGenerator` cannot do this: neither is saved in a
`.keras` file, and the latter draws the same numbers on all replicas.
"""

import contextlib
import threading

import tensorflow as tf

from tfgans.ops import philox
from tfgans.ops.exporting import is_plain
from tfgans.ops.machine import is_whole

_here = threading.local()  # a distribution strategy runs each replica in its own thread

DRAWS = 2**20  # more draws than this in one step would collide with the next seed
REPLICAS = 2**16


@contextlib.contextmanager
def scope(seed: int, step=0, replica=0):
    """Sets the numbers that `normal` and `uniform` draw inside the `with` block.

    Args:
        seed: Integer, at most 40 bits; may be a tensor.
        step: Training step, a Python integer or an int64 tensor.
        replica: Index of this replica in the strategy, integer or tensor.
    """
    outer = getattr(_here, "scope", None)
    place = tf.cast(step, "int64") * REPLICAS + tf.cast(replica, "int64")
    _here.scope = [tf.cast(seed, "int64") * DRAWS, place, 0]
    _here.part = (0, 1)
    try:
        yield
    finally:
        _here.scope = outer


def parts(n: int):
    """Yields 0 ... n - 1. Draws inside a loop over n parts are slices of the full-batch draw.

    A draw of m rows in part k returns rows k m to (k + 1) m - 1 of a draw of n m rows.
    """
    start = _here.scope[2] if n > 1 else None
    for k in range(n):
        if n > 1:
            _here.scope[2], _here.part = start, (k, n)
        yield k
    _here.part = (0, 1)


def _next_key():
    if getattr(_here, "scope", None) is None:
        raise RuntimeError(
            "A random number was drawn outside of a training step. "
            "Give a seed: `with tfgans.random.scope(seed): ...`."
        )
    first, place, number = _here.scope
    _here.scope[2] += 1
    return tf.stack([first + number, place])


def _draw(draw, shape, **settings):
    key, (part, n) = _next_key(), _here.part
    shape = tf.convert_to_tensor(shape, "int32")
    if n == 1 or shape.shape[0] == 0:
        return draw(shape, key, **settings)
    rows = shape[0]
    whole = draw(tf.concat([[n * rows], shape[1:]], axis=0), key, **settings)
    return tf.reshape(whole[part * rows : (part + 1) * rows], shape)


def normal(shape, dtype="float32"):
    """Draws from N(0, 1). The first rows do not depend on the number of rows.

    Args:
        shape: Shape of the result; its first axis is cut where a draw is a slice of a larger one.
        dtype: A type of floats.
    """
    draw = philox.stateless_normal if is_plain() or is_whole() else tf.random.stateless_normal
    return _draw(draw, shape, dtype=dtype)


def uniform(shape, minval=0, maxval=1, dtype="float32"):
    """Draws uniformly from [minval, maxval); integers if `dtype` is an integer type.

    Args:
        shape: Shape of the result.
        minval: The least value.
        maxval: The bound that no value reaches.
        dtype: A type of floats or integers.
    """
    draw = philox.stateless_uniform if is_plain() or is_whole() else tf.random.stateless_uniform
    return _draw(draw, shape, minval=minval, maxval=maxval, dtype=dtype)
