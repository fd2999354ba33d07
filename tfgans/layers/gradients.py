"""Hand-made gradients, which exported models do without."""

import contextlib
import contextvars
import functools

import tensorflow as tf

_plain = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def plain_gradients():
    """Graphs made within it have TensorFlow's gradients only.

    A SavedModel keeps hand-made ones of the first order, a third of its size, and each load warns
    of those of the second order, which it cannot keep.
    """
    before = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(before)


def own_gradient(function):
    """Decorates a function of tensors that returns its result and a function for its gradient.

    As `tf.custom_gradient`. The gradient must be the one that TensorFlow finds too, only cheaper.
    """
    with_gradient = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*tensors):
        return function(*tensors)[0] if _plain.get() else with_gradient(*tensors)

    del call.__wrapped__  # autograph would convert and call that instead
    return tf.autograph.experimental.do_not_convert(call)
