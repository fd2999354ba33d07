"""Decisions that depend on the machine.

| Machine | Chains of element-wise operations are |
|---|---|
| `cpu` | compiled by XLA in 16 bits, single in 32 |
| `gpu` | compiled by XLA |
| `xla` | compiled by XLA, and a training step as a whole (`models/stepping.py`) |
| `plain` | single operations |

On a `gpu` and with `xla`, XLA also compiles a network as a whole where many batches of one shape
are made and no gradients are needed (`for_many`). The results are the same to rounding. The choice
is `gpu` where TensorFlow sees one, else `cpu`; the environment variable TFGANS_MACHINE overrules
it. It is made when a graph is built. An exported model does not know the machine that will serve
it: it is made for `cpu` wherever it is written, or as a whole for a `gpu` on demand
(`models/serving.py`).

On a CPU, TensorFlow's element-wise operations are slow in 16 bits; in 32 bits they work in place,
and compiled ones do not. A training step compiled as a whole was sixty times slower on a CPU; on a
GPU it was not timed yet, so `xla` is a choice of the user's. docs/performance.md has the
measurements; a GPU was measured once.
"""

import functools
import os
import re

import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.ops import checking
from tfgans.ops.exporting import is_exporting

MANY = 1000  # calls that save about the minute of compiling, see docs/performance.md
CACHE = "tf_xla_persistent_cache_directory"  # TensorFlow's own setting

KINDS = {
    "cpu": "element-wise groups compiled in 16 bits",
    "gpu": "element-wise groups compiled",
    "xla": "training steps compiled as a whole",
    "plain": "nothing compiled",
}
COMPILING = ("gpu", "xla")


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
    """A sentence: where XLA keeps what it compiles, by TensorFlow's setting.

    TensorFlow numbers its functions, and finds a compiled one by its name. So the setting serves a
    process that traces the same as one before, in the same order; a resumed training does not.
    """
    folder = re.search(f"--{CACHE}=(\\S+)", os.environ.get("TF_XLA_FLAGS", ""))
    if folder:
        return f"XLA keeps what it compiles in {folder[1]}."
    return f"TF_XLA_FLAGS=--{CACHE}=DIR keeps what XLA compiles for processes that begin alike."


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
        return (by_xla if here in COMPILING or here == "cpu" and narrow else function)(*tensors)

    del call.__wrapped__  # else autograph would convert and call the wrapped function
    return tf.autograph.experimental.do_not_convert(call)


def is_whole() -> bool:
    """True while a graph is built that XLA compiles as a whole."""
    return checking.are_postponed()


def whole(function, *tensors, **named):
    """A function of tensors that XLA compiles as a whole: once for each shape, at its first call.

    Equals: function. Random numbers in it are those of TensorFlow too (`ops/philox.py`), because
    XLA's own are others for the same seed. XLA leaves checks out, so those of `ops/checking.py` are
    made after the call.

    Args:
        function: The function.
        tensors: Examples of its arguments. XLA translates the function for them, without compiling
            it, to find operations that it lacks and tensors whose size depends on values.
        named: The same, by name.

    Returns:
        (the compiled function, ""); or (the function as it is, the reason why XLA cannot have it).
    """
    rules = []

    def traced(*tensors, **named):
        with checking.postponed() as checks:
            result = function(*tensors, **named)
        rules[:] = [rule for rule, _, _ in checks]
        return result, [check[1:] for check in checks]

    def checked(*tensors, **named):
        result, checks = compiled(*tensors, **named)
        for rule, (condition, value) in zip(rules, checks, strict=True):
            checking.ensure(condition, rule, value)
        return result

    compiled = tf.function(traced, jit_compile=True, autograph=False)
    try:
        compiled.experimental_get_compiler_ir(*tensors, **named)(stage="hlo")
    except (tf.errors.OpError, ValueError, TypeError, NotImplementedError) as error:
        return function, (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return checked, ""


def for_many(function, calls):
    """A function of tensors that will be called so many times, with one shape.

    Equals: function. On a `gpu`, or with `xla`, from MANY calls, XLA compiles it as a whole. A line
    says so; or that XLA cannot, and then it stays as it is.
    """
    if kind() not in COMPILING or calls < MANY:
        return function
    made = None

    def call(*tensors, **named):
        nonlocal made
        tensors, named = tf.nest.map_structure(tf.convert_to_tensor, (tensors, named))
        if made is None:
            made, reason = whole(function, *tensors, **named)
            way = f"not compiled, XLA says: {reason}" if reason else "XLA compiles all as one"
            print(f"{calls:,} calls with one shape: {way}. {cache()}", flush=True)
        return made(*tensors, **named)

    return call
