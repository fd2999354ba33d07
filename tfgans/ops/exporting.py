"""Two differences between graphs for exported models and graphs for training.

Exported graphs have TensorFlow's own gradients only. A SavedModel would also store the hand-written
gradients of first order, a third of its size; it cannot store those of second order, and warns of
them at each load.

Exported graphs compute once, during the export, whatever depends on weights alone: sums of squares,
casts, rearranged kernels. Weights do not change there.
"""

import concurrent.futures
import contextlib
import contextvars
import functools
import inspect

import keras
import tensorflow as tf

_prepared = contextvars.ContextVar("prepared", default=None)  # key: variable; None in training
_plain = contextvars.ContextVar("plain", default=False)
_replaced = contextvars.ContextVar("replaced", default=frozenset())  # ids of weights


@contextlib.contextmanager
def exporting(plain=False):
    """Graphs built in this context are for an exported model, which is saved before its end.

    Args:
        plain: For a run time that has few operations: others are made of these.
    """
    before, plain_before = _prepared.set({}), _plain.set(plain)
    try:
        yield
    finally:
        _prepared.reset(before)
        _plain.reset(plain_before)


def is_exporting() -> bool:
    """True while a graph for an exported model is built."""
    return _prepared.get() is not None


def is_plain() -> bool:
    """True while a graph for a run time with few operations is built."""
    return _plain.get()


def own_gradient(function):
    """Decorates a function that returns its result and its gradient, as `tf.custom_gradient`.

    Equals: the result alone, with TensorFlow's own gradient. The hand-written gradient must have
    the same values; it is there because it is cheaper.

    Args:
        function: Tensors -> (a tensor, a function of upstream gradients).
    """
    with_gradient = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*tensors):
        return function(*tensors)[0] if is_exporting() else with_gradient(*tensors)

    del call.__wrapped__  # else autograph would convert and call the wrapped function
    call.__signature__ = inspect.signature(function)  # for `help`
    return tf.autograph.experimental.do_not_convert(call)


@contextlib.contextmanager
def replaced(pairs):
    """Layers find the given tensors in place of their weights in this context, also in exports.

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
    """A tensor that depends on weights alone; an export stores it in place of the first of them.

    Equals: function(weight, *settings).

    Args:
        function: (weight, *settings) -> a tensor. It must be a function at the top of a module,
            because an export stores one tensor for each function, weight and settings, and all
            endpoints share it.
        weight: A Keras variable, or a tensor. With a tensor, or with a variable that is `replaced`,
            an export computes as training does.
        settings: Further variables, or hashable arguments.
    """
    values = _prepared.get()
    alone = isinstance(weight, keras.Variable) and id(weight) not in _replaced.get()
    if values is None or not alone:
        return function(weight, *settings)
    given = (id(s) if isinstance(s, keras.Variable) else s for s in (weight, *settings))
    key = (function, *given)
    if key not in values:
        # Another thread traces nothing. In a trace, the weight itself would be exported too.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            values[key] = thread.submit(_made, function, weight, *settings).result()
    return tf.convert_to_tensor(values[key])


def _made(function, *arguments):
    return tf.Variable(function(*arguments), trainable=False)
