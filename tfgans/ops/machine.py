"""Decisions that depend on the machine.

| Machine | Chains of element-wise operations are |
|---|---|
| `cpu` | compiled by XLA in 16 bits, single in 32 |
| `gpu` | compiled by XLA |
| `plain` | single operations |

The results are the same to rounding. The choice is `gpu` where TensorFlow sees one, else `cpu`;
the environment variable TFGANS_MACHINE overrules it. It is made when a graph is built. An exported
model does not know the machine that will serve it: its graphs are those for `cpu`, wherever it is
written.

On a CPU, TensorFlow's element-wise operations are slow in 16 bits; in 32 bits they work in place,
and compiled ones do not. XLA never compiles a whole step: on a CPU that was sixty times slower.
docs/performance.md has the measurements; a GPU was measured once.
"""

import functools
import os

import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.ops.exporting import is_exporting

KINDS = {
    "cpu": "element-wise groups compiled in 16 bits",
    "gpu": "element-wise groups compiled",
    "plain": "nothing compiled",
}


def kind() -> str:
    """Kind of the machine that graphs are built for: a key of KINDS.

    Raises:
        BadInput: TFGANS_MACHINE is another word.
    """
    asked = os.environ.get("TFGANS_MACHINE", "auto")
    if asked == "auto":
        return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
    if asked not in KINDS:
        raise BadInput(f"TFGANS_MACHINE must be auto, {' or '.join(KINDS)}, not {asked!r}.")
    return asked


def describe() -> str:
    """One line: the choice, and the variable that overrules it."""
    return f"Machine: {kind()} ({KINDS[kind()]}). TFGANS_MACHINE={'|'.join(KINDS)} overrules it."


def compiled(function):
    """Decorates a function of tensors that XLA compiles into one pass over memory.

    Equals: function(*tensors). It must be element-wise, because XLA's matrix products and
    convolutions are slow on a CPU. XLA compiles it once for each shape, at the first call.
    """
    by_xla = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*tensors):
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        here = "cpu" if is_exporting() and kind() == "gpu" else kind()
        narrow = min(tensor.dtype.size for tensor in tensors) == 2
        return (by_xla if here == "gpu" or here == "cpu" and narrow else function)(*tensors)

    del call.__wrapped__  # else autograph would convert and call the wrapped function
    return tf.autograph.experimental.do_not_convert(call)
