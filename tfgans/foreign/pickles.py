"""Reads pickles as data: nothing that a file names is imported, called or run.

A pickle is a small program. `pickletools` of the standard library parses its instructions without
running them, and `read` runs only those that build numbers, strings, lists, tuples and
dicts. For an instruction that imports and calls something, `read` makes an inert `Record` of the
name and the arguments, if the name is one of the known names; it refuses any other name.

A hostile file cannot use unlimited memory or time: no instruction takes more memory than its bytes
in the file, repeated references share one object, and the number of instructions is limited.
"""

import codecs
import contextlib
import pickletools
import re

import numpy as np

from tfgans.errors import BadInput

MOST_INSTRUCTIONS = 500_000  # several times the number in the largest official file

# Classes and functions that become plain containers here.
DICTS = {"collections.OrderedDict", "dnnlib.util.EasyDict", "dnnlib.EasyDict"}
SAME = {  # the value is the first argument
    f"{module}.{name}"
    for module in ("builtins", "__builtin__")
    for name in ("set", "frozenset", "bytearray", "bytes", "list", "tuple")
} | {"torch.Size"}
ARRAYS = {"numpy.ndarray", "numpy.dtype"} | {
    f"numpy.{core}.{name}"
    for core in ("core", "_core")
    for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
}
PLAIN = DICTS | SAME | ARRAYS | {"_codecs.encode"}

# Instructions whose argument is the value.
VALUES = set(
    "BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 BINSTRING SHORT_BINSTRING "
    "STRING INT LONG FLOAT UNICODE".split()
)


class Name(str):
    """A class or function that a pickle names: "module.name", never looked up."""


class Record:
    """Represents an object of a class that is never imported.

    Attributes:
        name: Class or function that makes the object, "module.name"; "persistent" for an object
            outside of the pickle.
        args: Arguments of the call.
        state: State of the object that the pickle sets, or None.
    """

    def __init__(self, name, args=(), state=None):
        self.name, self.args, self.state = name, args, state


@contextlib.contextmanager
def refusals(path):
    """Turns every error that a damaged or hostile file causes into a BadInput of one line."""
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        if isinstance(error, BadInput):
            raise BadInput(f"{path} is refused: {text}.") from None
        reason = f"{type(error).__name__}: {text}"
        raise BadInput(f"{path} is damaged, or not a file of this kind ({reason}).") from error


def instructions(stream):
    """Yields the name and the argument of each instruction of a pickle, up to its STOP."""
    name = None
    while name != "STOP":
        code = stream.read(1)
        opcode = pickletools.code2op.get(code.decode("latin1"))
        if opcode is None:
            raise ValueError(f"{code!r} where an instruction should be")
        name, arg = opcode.name, None
        if name == "STRING":  # Python 2's, whose bytes the library refuses
            arg = codecs.escape_decode(stream.readline().strip()[1:-1])[0].decode("latin1")
        elif opcode.arg:
            arg = opcode.arg.reader(stream)
        yield name, arg


def read(stream, names, limit=MOST_INSTRUCTIONS):
    """Reads one pickle from the current position of a stream.

    Args:
        stream: A binary file in memory.
        names: Classes and functions that may become records, in addition to `PLAIN`.
        limit: Largest number of instructions.

    Returns:
        The value, and a list of the records of all persistent objects.

    Raises:
        BadInput: The pickle has an unknown name, an unknown instruction, or too many instructions.
        Exception: The pickle is damaged; any type of exception is possible.
    """
    names = PLAIN | names
    stack, marks, memo, persistent = [], [], {}, []
    budget = stream.getbuffer().nbytes

    def since_mark():
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    def name(module, word):
        if not isinstance(module, str) or not isinstance(word, str):
            raise BadInput("it asks for something whose name is not a string")
        full = f"{module}.{word}"
        if full not in names:
            raise BadInput(f"it asks for {full[:200]!r}, which has no place in such a file")
        return Name(full)

    def spend(count):
        nonlocal budget
        budget -= count
        if budget < 0:
            raise BadInput("it asks for more memory than it has bytes")

    def made(called, args):
        if not isinstance(called, Name) or not isinstance(args, tuple):
            raise BadInput("it calls something that is not a name")
        if called in DICTS:
            pairs = args[0] if args else []  # only Python 2 gives pairs
            spend(len(pairs))
            return to_dict(pairs)
        if called in SAME:
            return args[0] if args else []
        if called == "_codecs.encode":  # bytes in protocol 2
            spend(len(args[0]))
            return args[0].encode("latin1")
        return Record(called, args)

    for count, (opcode, arg) in enumerate(instructions(stream)):
        if count >= limit:
            raise BadInput(f"it has more than {limit:,} instructions")
        match opcode:
            case word if word in VALUES:
                stack.append(arg)
            case "NONE" | "NEWTRUE" | "NEWFALSE" as word:
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[word])
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as word:
                items = [stack.pop() for _ in range(int(word[-1]))]
                stack.append(tuple(reversed(items)))
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "FROZENSET" | "LIST":
                stack.append(since_mark())
            case "DICT":
                items = since_mark()
                put_pairs(new := {}, items[::2], items[1::2])
                stack.append(new)
            case "APPEND":
                item = stack.pop()
                put_items(stack[-1], [item])
            case "APPENDS" | "ADDITEMS":
                items = since_mark()
                put_items(stack[-1], items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                put_pairs(stack[-1], [key], [value])
            case "SETITEMS":
                items = since_mark()
                put_pairs(stack[-1], items[::2], items[1::2])
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                memo[arg] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(memo[arg])
            case "GLOBAL":
                stack.append(name(*arg.split(" ", 1)))
            case "STACK_GLOBAL":
                word, module = stack.pop(), stack.pop()
                stack.append(name(module, word))
            case "REDUCE" | "NEWOBJ":
                args, called = stack.pop(), stack.pop()
                stack.append(made(called, args))
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], Record):  # attributes of a dict are ignored
                    stack[-1].state = state
            case "BINPERSID":
                persistent.append(Record("persistent", stack.pop()))
                stack.append(persistent[-1])
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop(), persistent
            case word:
                raise BadInput(f"it has an instruction {word}, which has no place in such a file")


def put_items(target, items):
    if not isinstance(target, list):
        raise BadInput("it appends to something that is not a list")
    target.extend(items)


def put_pairs(target, keys, values):
    if not isinstance(target, dict):
        raise BadInput("it puts items into something that is not a dict")
    for key in keys:  # the hash of nested tuples can take forever
        if not isinstance(key, int) and not is_short(key):
            raise BadInput("it has a dict whose keys are neither short strings nor integers")
    target.update(zip(keys, values, strict=True))


def is_short(text):
    """Returns true for strings short enough for a part of a name."""
    return isinstance(text, str) and len(text) <= 300


def to_dict(pairs):
    """Makes a dict of (key, value) pairs of a pickle, and checks the keys."""
    put_pairs(new := {}, [key for key, _ in pairs], [value for _, value in pairs])
    return new


def to_dtype(text):
    """Returns the NumPy type for a string such as "<f4"; refuses all but plain numbers."""
    if not re.fullmatch(r"[<>=|]?[?biuf][1248]?", text):
        raise BadInput(f"it holds values of the type {text[:20]!r}, not plain numbers")
    return np.dtype(text)


def dtype_of(record):
    if record.name != "numpy.dtype":
        raise BadInput("it has an array without a type")
    order = record.state[1] if record.state else "|"
    return to_dtype(record.args[0]).newbyteorder(order)


def to_array(value):
    """Converts a pickled number or NumPy array to an array that shares the bytes of the file."""
    if isinstance(value, int | float):
        return np.asarray(float(value))
    function = value.name.rpartition(".")[2]
    if function == "scalar":
        dtype, data = value.args
        return np.frombuffer(data, dtype_of(dtype)).reshape(())
    if function == "_reconstruct":
        _, shape, dtype, fortran, data = value.state
        order, axes = "F" if fortran else "C", []
    elif function == "_frombuffer":
        data, dtype, shape, order, *axes = value.args
    else:
        raise BadInput(f"it has a {value.name} where an array should be")
    check_sizes(shape)
    data = data.encode("latin1") if isinstance(data, str) else data  # of Python 2
    array = np.frombuffer(data, dtype_of(dtype))
    if order == "K":  # memory order, with permuted axes
        return array.reshape(shape).transpose(*axes)
    return array.reshape(shape, order=order)


def check_sizes(sizes):
    """Refuses sizes or strides that no array can have."""
    if len(sizes) > 8 or not all(isinstance(n, int) and 0 <= n < 2**48 for n in sizes):
        raise BadInput("it has an array of impossible sizes")


def plain(value):
    """Returns a pickled setting: a short string, a number, a bool or None.

    NumPy numbers become Python numbers. Lists are refused: nested ones could take forever to print
    or compare.
    """
    if isinstance(value, Record):
        value = to_array(value).item()
    if value is not None and not isinstance(value, str | int | float):
        raise BadInput(f"it has a setting that is a {type(value).__name__}")
    if len(str(value)) > 100:
        raise BadInput("it has a very long setting")
    return value
