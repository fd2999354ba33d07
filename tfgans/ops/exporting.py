"""What graphs for exported models do otherwise than those for training.

They have TensorFlow's gradients only: a SavedModel keeps hand-made ones of the first order, a third
of its size, and each load warns of those of the second order, which it cannot keep. And what is
made of weights alone (sums of squares, casts, rearranged kernels) is made once, on export: weights
do not change there.
"""

import concurrent.futures
import contextlib
import contextvars
import functools

import keras
import tensorflow as tf

_prepared = contextvars.ContextVar("prepared", default=None)  # key: variable; None in training
_replaced = contextvars.ContextVar("replaced", default=frozenset())  # ids of weights


@contextlib.contextmanager
def exporting():
    """Graphs made within it are for an exported model, to be saved before it ends."""
    before = _prepared.set({})
    try:
        yield
    finally:
        _prepared.reset(before)


def is_exporting() -> bool:
    """Whether the graph being made is for an exported model."""
    return _prepared.get() is not None


def own_gradient(function):
    """Decorates a function of tensors that returns its result and a function for its gradient.

    As `tf.custom_gradient`. The gradient must be the one that TensorFlow finds too, only cheaper.
    """
    with_gradient = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*tensors):
        return function(*tensors)[0] if is_exporting() else with_gradient(*tensors)

    del call.__wrapped__  # autograph would convert and call that instead
    return tf.autograph.experimental.do_not_convert(call)


@contextlib.contextmanager
def replaced(pairs):
    """Layers find other tensors in the place of weights, in exports too.

    Args:
        pairs: [(Keras variable, tensor), ...].
    """
    before = _replaced.set(_replaced.get() | {id(weight) for weight, _ in pairs})
    try:
        with keras.StatelessScope(pairs):
            yield
    finally:
        _replaced.reset(before)


def prepared(function, weight, *settings):
    """`function(weight, *settings)`, a tensor, which an export keeps in place of the weight.

    Args:
        function: A weight -> a tensor. A function of a module, not one made on the spot: what it
            gives is kept once for each weight and settings, however many endpoints ask.
        weight: A Keras variable. With a tensor, or where it is `replaced`, the function is called
            as in training.
        settings: Anything hashable.
    """
    values = _prepared.get()
    alone = isinstance(weight, keras.Variable) and id(weight) not in _replaced.get()
    if values is None or not alone:
        return function(weight, *settings)
    key = (function, id(weight), *settings)
    if key not in values:
        # In another thread nothing is traced: what is read in a trace is saved as well.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            values[key] = thread.submit(_made, function, weight, *settings).result()
    return tf.convert_to_tensor(values[key])


def _made(function, *arguments):
    return tf.Variable(function(*arguments), trainable=False)
