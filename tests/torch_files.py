"""Writes files byte for byte as PyTorch and official programs would, without any of them.

`pickle` writes the name of a class beside each object. So here are classes and functions with the
official names, put into modules of the official names for as long as a file is written. They do
nothing: they exist to be named.
"""

import contextlib
import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

NAMED = []


def named(module):
    """Says in which module an object stands for `pickle`."""

    def put(thing):
        thing.__module__ = module
        NAMED.append(thing)
        return thing

    return put


@contextlib.contextmanager
def official_modules():
    """Modules of the official names, holding what is named."""
    put = {}
    for thing in NAMED:
        words = thing.__module__.split(".")
        for end in range(1, len(words) + 1):
            name = ".".join(words[:end])
            put.setdefault(name, types.ModuleType(name))
        setattr(put[thing.__module__], thing.__name__, thing)
    before = {name: sys.modules[name] for name in put if name in sys.modules}
    sys.modules.update(put)
    try:
        yield
    finally:
        for name in put:
            del sys.modules[name]
        sys.modules.update(before)


def dumps(value, protocol=4):
    with official_modules():
        return pickle.dumps(value, protocol)


@named("torch._utils")
def _rebuild_tensor_v2():
    pass


@named("torch._utils")
def _rebuild_parameter():
    pass


@named("torch.storage")
def _load_from_bytes():
    pass


@named("torch")
class FloatStorage:
    pass


@named("torch")
class HalfStorage:
    pass


@named("torch")
class LongStorage:
    pass


KINDS = {"float32": FloatStorage, "float16": HalfStorage, "int64": LongStorage}


class Storage:
    """A run of numbers. A plain pickle holds it as a small file of PyTorch's old format."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __reduce__(self):
        return _load_from_bytes, (torch_file(self),)


class Tensor:
    """Strides over a storage; with `channels_last` those of [N, H, W, C] in memory."""

    def __init__(self, array, channels_last=False, storage=None, offset=0):
        array = np.asarray(array)
        memory = array.transpose(0, 2, 3, 1) if channels_last else array
        memory = np.array(memory, order="C")
        array = memory.transpose(0, 3, 1, 2) if channels_last else memory
        self.size = array.shape
        self.stride = tuple(step // array.itemsize for step in array.strides)
        self.storage, self.offset = storage or Storage(memory.reshape(-1)), offset

    def __reduce__(self):
        hooks = OrderedDict()
        return _rebuild_tensor_v2, (
            self.storage, self.offset, self.size, self.stride, False, hooks,
        )  # fmt: skip


class Parameter:
    def __init__(self, array, **options):
        self.data = Tensor(array, **options)

    def __reduce__(self):
        return _rebuild_parameter, (self.data, True, OrderedDict())


class TorchPickler(pickle.Pickler):
    """Writes storages as references: ("storage", type, key, place, length)."""

    def __init__(self, file, old):
        super().__init__(file, 2)
        self.storages, self.old = [], old

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        if value not in self.storages:
            self.storages.append(value)
        key, numbers = str(self.storages.index(value)), value.numbers
        reference = ("storage", KINDS[numbers.dtype.name], key, "cpu", len(numbers))
        return (*reference, None) if self.old else reference


def torch_file(value, old=True):
    """Writes a file as `torch.save` does: in the format before version 1.6, or as a zip archive."""
    out, stream = io.BytesIO(), io.BytesIO()
    with official_modules():
        pickler = TorchPickler(stream, old)
        pickler.dump(value)
    numbers = {str(i): storage.numbers for i, storage in enumerate(pickler.storages)}
    if old:
        sizes = {"short": 2, "int": 4, "long": 4}
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
        for head in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(head, out, 2)
        out.write(stream.getvalue())
        pickle.dump(sorted(numbers), out, 2)
        for key in sorted(numbers):
            out.write(np.int64(len(numbers[key])).tobytes() + numbers[key].tobytes())
        return out.getvalue()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", "little")
        for key, value in numbers.items():
            archive.writestr(f"archive/data/{key}", value.tobytes())
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


def write_state_dict(path, arrays):
    """Arrays by name as `torch.save` writes them today."""
    tensors = OrderedDict((name, Tensor(array)) for name, array in arrays.items())
    path.write_bytes(torch_file(tensors, old=False))
