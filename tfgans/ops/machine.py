"""What depends on the machine, decided in one place.

| | a modulated convolution is | chains of element-wise operations are |
|---|---|---|
| `cpu` | one convolution between two scalings | compiled by XLA in 16 bits, single in 32 |
| `gpu` | one grouped convolution, a kernel for each sample | compiled by XLA |
| `plain` | one convolution between two scalings | single operations |

(A batch of unknown size, as in an exported model, is scaled on every machine.)

The results are the same to rounding. The choice is `gpu` where TensorFlow sees one, else `cpu`; the
environment variable TFGANS_MACHINE overrules it. It counts when a graph is built, so an exported
model has that of the machine it was exported on. Only the CPU was measured (docs/performance.md):
in 16 bits TensorFlow's element-wise operations are slow there, and in 32 they work in place, which
compiled ones do not. A whole step is never left to XLA: on a CPU that was sixty times slower.
"""

import functools
import os

import tensorflow as tf

from tfgans.errors import BadInput

KINDS = {
    "cpu": "scaled activations, element-wise groups compiled in 16 bits",
    "gpu": "grouped convolutions, element-wise groups compiled",
    "plain": "scaled activations, nothing compiled",
}


def kind() -> str:
    """The kind of machine graphs are built for: a key of KINDS.

    Raises:
        BadInput: TFGANS_MACHINE is not one of them.
    """
    asked = os.environ.get("TFGANS_MACHINE", "auto")
    if asked == "auto":
        return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
    if asked not in KINDS:
        raise BadInput(f"TFGANS_MACHINE is auto, {', '.join(KINDS)}, not {asked!r}.")
    return asked


def describe() -> str:
    """One line: what was chosen, and how to choose otherwise."""
    return f"Machine: {kind()} ({KINDS[kind()]}). TFGANS_MACHINE={'|'.join(KINDS)} overrules it."


def grouped_convolutions() -> bool:
    return kind() == "gpu"


def compiled(function):
    """Decorates a function of tensors that XLA makes into one pass over memory.

    It must be element-wise: XLA's matrix products and convolutions are slow on a CPU. Each shape,
    so each batch size, is compiled once, when it first comes.
    """
    by_xla = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*tensors):
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        here = kind()
        narrow = min(tensor.dtype.size for tensor in tensors) == 2
        return (by_xla if here == "gpu" or here == "cpu" and narrow else function)(*tensors)

    del call.__wrapped__  # autograph would convert and call that instead
    return tf.autograph.experimental.do_not_convert(call)
