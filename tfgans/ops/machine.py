"""Decisions that depend on the machine.

| Machine | Chains of element-wise operations are |
|---|---|
| `cpu` | compiled by XLA in 16 bits, single in 32 |
| `gpu` | compiled by XLA |
| `xla` | single operations, until XLA has compiled the training step as a whole |
| `xla-first` | the same, but a training waits for the compiler |
| `plain` | single operations |

`models/compiling.py` has the training steps that are compiled as a whole. On a `gpu` and with `xla`
or `xla-first`, XLA also compiles a network as a whole where many batches of one shape are made and
no gradients are needed (`for_many`). The results are the same to rounding. The choice is `gpu`
where TensorFlow sees one, else `cpu`; the environment variable TFGANS_MACHINE overrules it. It is
made when a graph is built. An exported model does not know the machine that will serve it: it is
made for `cpu` wherever it is written, or as a whole for a `gpu` on demand (`models/serving.py`).

On a CPU, TensorFlow's element-wise operations are slow in 16 bits; in 32 bits they work in place,
and compiled ones do not. A training step compiled as a whole was sixty times slower on a CPU; on a
GPU it was not timed yet, so `xla` is a choice of the user's. docs/performance.md has the
measurements; a GPU was measured once.
"""

import collections
import contextlib
import functools
import itertools
import os
import re
import zlib

import tensorflow as tf
from tensorflow.python.framework import ops as tensorflow_ops  # for `numbered` alone

from tfgans.errors import BadInput
from tfgans.ops import checking
from tfgans.ops.exporting import is_exporting

MANY = 1000  # calls that save about the minute of compiling, see docs/performance.md
CACHE = "tf_xla_persistent_cache_directory"  # TensorFlow's own setting

KINDS = {
    "cpu": "element-wise groups compiled in 16 bits",
    "gpu": "element-wise groups compiled",
    "xla": "training steps compiled as a whole, single operations until then",
    "xla-first": "training steps compiled as a whole, before they train",
    "plain": "nothing compiled",
}
WHOLE = ("xla", "xla-first")
COMPILING = ("gpu", *WHOLE)
_traced = collections.Counter()  # how often `numbered` met a key


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
    """One line: the choice, what overrules it, and where compiled code is kept, if much is."""
    line = f"Machine: {kind()} ({KINDS[kind()]}). TFGANS_MACHINE={'|'.join(KINDS)} overrules it."
    return f"{line} {cache()}" if kind() in COMPILING else line


def cache() -> str:
    """A sentence: where XLA keeps what it compiles, by TensorFlow's setting."""
    folder = re.search(f"--{CACHE}=(\\S+)", os.environ.get("TF_XLA_FLAGS", ""))
    if folder:
        return f"XLA keeps what it compiles in {folder[1]}."
    return f"TF_XLA_FLAGS=--{CACHE}=DIR keeps what XLA compiles."


@contextlib.contextmanager
def numbered(key):
    """Functions that TensorFlow traces inside have numbers that follow from a text.

    XLA's cache on disk finds a compiled function by its name, and TensorFlow ends each name with a
    number that counts all that the process has traced before. So without this a resumed training
    would find nothing.

    Args:
        key: Text that differs for functions that differ. The second time that a process meets it
            the numbers are others, since names must not come twice.
    """
    _traced[key] += 1
    block = 2**12 + zlib.crc32(f"{key}, {_traced[key]}".encode())  # far above a process' own count
    before = tensorflow_ops.uid
    tensorflow_ops.uid = itertools.count(block * 2**20).__next__
    try:
        yield
    finally:
        tensorflow_ops.uid = before


def compiled(function, on_cpu=True):
    """Decorates a function of tensors that XLA compiles into one pass over memory.

    Equals: function(*tensors). It must be element-wise, because XLA's matrix products and
    convolutions are slow on a CPU. XLA compiles it once for each shape, at the first call.

    Args:
        function: The function.
        on_cpu: On a `cpu` it is compiled in 16 bits; else never there.
    """
    by_xla = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*tensors):
        if is_whole():
            return function(*tensors)
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        here = "cpu" if is_exporting() and kind() in COMPILING else kind()
        narrow = on_cpu and min(tensor.dtype.size for tensor in tensors) == 2
        return (by_xla if here == "gpu" or here == "cpu" and narrow else function)(*tensors)

    del call.__wrapped__  # else autograph would convert and call the wrapped function
    return tf.autograph.experimental.do_not_convert(call)


def is_whole() -> bool:
    """True while a graph is built that XLA compiles as a whole."""
    return checking.are_postponed()


class Whole:
    """A function of tensors that XLA compiles as a whole: once for each shape, at its first call.

    Equals: function. Random numbers in it are those of TensorFlow too (`ops/philox.py`), because
    XLA's own are others for the same seed. XLA leaves checks out, so those of `ops/checking.py` are
    made after the call.

    Attributes:
        compiled: The compiled function without its checks; it returns (the result, what the checks
            look at).
    """

    def __init__(self, function):
        self._rules = []

        def traced(*tensors, **named):
            with checking.postponed() as checks:
                result = function(*tensors, **named)
            self._rules[:] = [rule for rule, _, _ in checks]
            return result, [check[1:] for check in checks]

        self.compiled = tf.function(traced, jit_compile=True, autograph=False)

    def __call__(self, *tensors, **named):
        result, checks = self.compiled(*tensors, **named)
        for rule, (condition, value) in zip(self._rules, checks, strict=True):
            checking.ensure(condition, rule, value)
        return result


def whole(function, *tensors, **named):
    """`Whole` of a function, if XLA can have it.

    Args:
        function: The function.
        tensors: Examples of its arguments. XLA translates the function for them, without compiling
            it, to find operations that it lacks and tensors whose size depends on values.
        named: The same, by name.

    Returns:
        (the compiled function, ""); or (the function as it is, the reason why XLA cannot have it).
    """
    made = Whole(function)
    try:
        made.compiled.experimental_get_compiler_ir(*tensors, **named)(stage="hlo")
    except (tf.errors.OpError, ValueError, TypeError, NotImplementedError) as error:
        return function, first_line(error)
    return made, ""


def first_line(error) -> str:
    """The first line of an error, without TensorFlow's mark of the place; at most 200 letters."""
    said = re.sub(r"^\{\{.*?\}\} ", "", str(error)).strip() or type(error).__name__
    return said.splitlines()[0][:200]


def for_many(function, calls):
    """A function of tensors that will be called so many times, with one shape.

    Equals: function. With a kind in COMPILING, from MANY calls, XLA compiles it as a whole. A line
    says so; or that XLA cannot, and then it stays as it is.
    """
    if kind() not in COMPILING or calls < MANY:
        return function
    made = None

    def call(*tensors, **named):
        nonlocal made
        tensors, named = tf.nest.map_structure(tf.convert_to_tensor, (tensors, named))
        if made is None:
            shapes = tf.nest.map_structure(lambda x: (x.dtype.name, *x.shape), (tensors, named))
            with numbered(f"{function.__qualname__} {shapes}"):
                made, reason = whole(function, *tensors, **named)
            way = f"not compiled, XLA says: {reason}" if reason else "XLA compiles all as one"
            print(f"{calls:,} calls with one shape: {way}. {cache()}", flush=True)
        return made(*tensors, **named)

    return call
