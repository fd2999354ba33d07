"""The end of the process: TensorFlow's threads stay out of Python then.

A thread that wants to enter Python while the interpreter ends never comes back, and the iterator
that waits for it hangs. So the pipelines count, in the graph, the threads that are in Python; at
exit `close` lets no more of them in and waits until the others are out.

Another thread that never comes back is one that frees its own iterator: it waits for itself. Python
collects garbage in any thread, and after an error the circle around a traceback can hold the
iterator alone. So `hold` keeps the iterators of trainings that failed. It keeps no others, and
frees these in a thread of its own: TensorFlow takes up to a minute to free data that it tunes, and
those of several devices.
"""

import atexit
import collections
import functools
import threading
import time
import traceback

import numpy as np
import tensorflow as tf

CLOSED = 2**30  # added to the count
ENDED = "the process ends"
HELD = 2  # when one leaves, its threads have long filled their buffers
_held = collections.deque()


@functools.cache
def counter() -> tf.Tensor:
    """A resource that counts the threads in Python: an int32 variable of no strategy."""
    with tf.init_scope(), tf.device("CPU:0"):
        resource = tf.raw_ops.VarHandleOp(dtype=tf.int32, shape=[], shared_name="tfgans_in_python")
        tf.raw_ops.AssignVariableOp(resource=resource, value=tf.constant(0))
    atexit.register(close)
    return resource


def add(number: int):
    """Adds to the count; returns the operation."""
    return tf.raw_ops.AssignAddVariableOp(resource=counter(), value=tf.constant(number))


def count():
    """The count, int32 []."""
    return tf.raw_ops.ReadVariableOp(resource=counter(), dtype=tf.int32)


def close():
    """Lets no more threads into Python, and waits for those that are there."""
    add(CLOSED)
    while int(count()) != CLOSED:
        time.sleep(0.001)


def hold(iterator):
    """Keeps the iterator of a training that failed until `HELD` others have come."""
    _held.append(iterator)
    if len(_held) > HELD:  # the thread has the last reference, and waits for TensorFlow
        threading.Thread(target=_held.popleft, daemon=True).start()


def call(function, signature: dict, *inputs) -> dict:
    """Calls a Python function in a graph, as tf.numpy_function does, but not during exit.

    Args:
        function: Takes arrays, returns a list of arrays in the order of `signature`.
        signature: Name -> TensorSpec of each result.
        inputs: Tensors.

    Returns:
        Name -> tensor.

    Raises:
        tf.errors.InvalidArgumentError: The function raised an error, whose text is in the message;
            or the process ends.
    """
    shapes = [[side or 1 for side in spec.shape] for spec in signature.values()]
    types = [spec.dtype for spec in signature.values()]

    def guarded(*arrays):
        try:
            return ["", *function(*arrays)]
        except Exception as error:  # is raised in the graph: to raise it here takes Python longer
            ended = "cannot schedule new futures" in str(error)  # pools of threads close first
            problem = ENDED if ended else traceback.format_exc()
        return [problem, *map(np.ones, shapes, [dtype.as_numpy_dtype for dtype in types])]

    with tf.control_dependencies([add(1)]):
        is_open = count() < CLOSED
    results = tf.cond(
        is_open,
        lambda: tf.numpy_function(guarded, inputs, [tf.string, *types]),
        lambda: [tf.constant(ENDED), *map(tf.ones, shapes, types)],
    )
    with tf.control_dependencies(results):
        left = add(-1)
    with tf.control_dependencies([left]):
        problem, *tensors = map(tf.identity, results)
    with tf.control_dependencies([tf.debugging.Assert(problem == "", [problem])]):
        return {
            name: tf.ensure_shape(tf.identity(tensor), spec.shape)
            for (name, spec), tensor in zip(signature.items(), tensors, strict=True)
        }
