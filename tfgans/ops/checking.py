"""Checks of values: at once where there are values, else when the graph runs."""

import contextlib
import contextvars
import re

import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput

_later = contextvars.ContextVar("later", default=None)  # a list inside of `postponed`


def ensure(condition, rule, value):
    """Raises BadInput where a condition on values does not hold, now or when the graph runs.

    Args:
        condition: A tensor of one truth value.
        rule: The sentence for the user; the value ends it.
        value: Tensor of numbers that tells what came.
    """
    if _later.get() is not None:
        _later.get().append((rule, condition, value))
    elif not tf.executing_eagerly():
        tf.debugging.Assert(condition, [f"BadInput: {rule}", value])
    elif not bool(condition):
        raise BadInput(" ".join([rule, *(f"{v:g}" for v in np.ravel(value))]) + ".")


@contextlib.contextmanager
def postponed():
    """Gives a list of (rule, condition, value) in place of checks: XLA leaves checks out."""
    found = []
    before = _later.set(found)
    try:
        yield found
    finally:
        _later.reset(before)


def are_postponed() -> bool:
    """True inside of `postponed`."""
    return _later.get() is not None


def reason(error) -> str | None:
    """The sentence of `ensure` in an error of a running graph, or None."""
    found = re.search(r"\[BadInput: (.*?)\] \[(.*?)\]", str(error))
    return f"{found[1]} {found[2]}.".replace("\\'", "'") if found else None
