"""Writes files of the official structure, byte for byte as the official programs would.

`pickle` writes the name of a class beside each object. So here are classes and functions with the
official names, put into modules of the official names for as long as a file is written; none of
the official packages is needed. None of these functions does anything: they exist to be named.
"""

import contextlib
import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

MODULES = (
    "dnnlib dnnlib.util dnnlib.tflib dnnlib.tflib.network tfutil torch torch._utils "
    "torch.storage torch_utils torch_utils.persistence"
).split()


@contextlib.contextmanager
def official_modules():
    """Modules of these names, holding the classes of this file under their official names."""
    put = {name: types.ModuleType(name) for name in MODULES}
    for thing in NAMED:
        setattr(put[thing.__module__], thing.__qualname__, thing)
    before = {name: sys.modules.get(name) for name in MODULES}
    sys.modules.update(put)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


NAMED = []


def named(module, name=None):
    """Says under which module and name an object is pickled."""

    def put(thing):
        thing.__module__ = module
        thing.__qualname__ = thing.__name__ = name or thing.__name__
        NAMED.append(thing)
        return thing

    return put


def dumps(value, protocol):
    with official_modules():
        return pickle.dumps(value, protocol)


# PyTorch.


@named("torch._utils")
def _rebuild_tensor_v2(*args):
    raise AssertionError("nothing in a file is called")


@named("torch._utils")
def _rebuild_parameter(*args):
    raise AssertionError("nothing in a file is called")


@named("torch.storage")
def _load_from_bytes(data):
    raise AssertionError("nothing in a file is called")


class Storage:
    """A run of numbers. A plain pickle holds it as a small file of PyTorch's old format."""

    def __init__(self, numbers):
        self.numbers = numbers

    def reference(self):
        kind = {"float32": FloatStorage, "float16": HalfStorage, "int64": LongStorage}
        return kind[self.numbers.dtype.name]

    def __reduce__(self):
        return _load_from_bytes, (torch_file(self),)


for _name in ("FloatStorage", "HalfStorage", "LongStorage"):
    globals()[_name] = named("torch", _name)(type(_name, (), {}))


class Tensor:
    """What a tensor is to pickle: strides over a storage."""

    def __init__(self, array, channels_last=False):
        array = np.asarray(array)
        if channels_last:  # [N, C, H, W] by its shape, [N, H, W, C] in memory
            memory = np.ascontiguousarray(array.transpose(0, 2, 3, 1))
            array = memory.transpose(0, 3, 1, 2)
        else:
            memory = array = np.ascontiguousarray(array)
        if np.ndim(array) == 0:
            memory = np.reshape(array, [1])
        self.storage = Storage(memory.reshape(-1))
        self.size = array.shape if np.ndim(array) else ()
        self.stride = tuple(step // array.itemsize for step in array.strides)

    def __reduce_ex__(self, protocol):
        args = (self.storage, 0, self.size, self.stride, False, OrderedDict())
        return _rebuild_tensor_v2, args


class Parameter(Tensor):
    def __reduce_ex__(self, protocol):
        return _rebuild_parameter, (Tensor.__new__(Tensor)._like(self), True, OrderedDict())


def _like(self, other):
    self.__dict__ = other.__dict__
    return self


Tensor._like = _like


class TorchPickler(pickle.Pickler):
    """Writes storages as references: ("storage", type, key, place, length)."""

    def __init__(self, file, old):
        super().__init__(file, 2)
        self.storages, self.old = {}, old

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = str(list(self.storages.values()).index(value) if value in self.storages.values()
                  else len(self.storages))  # fmt: skip
        self.storages[key] = value
        reference = ("storage", value.reference(), key, "cpu", len(value.numbers))
        return (*reference, None) if self.old else reference


def torch_file(value, old=True):
    """What `torch.save` writes: the format before version 1.6, or the zip archive since."""
    out, stream = io.BytesIO(), io.BytesIO()
    with official_modules():
        pickler = TorchPickler(stream, old)
        pickler.dump(value)
    if old:
        sizes = {"short": 2, "int": 4, "long": 4}
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
        for head in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(head, out, 2)
        out.write(stream.getvalue())
        pickle.dump(sorted(pickler.storages), out, 2)
        for key in sorted(pickler.storages):
            numbers = pickler.storages[key].numbers
            out.write(np.int64(len(numbers)).tobytes() + numbers.tobytes())
        return out.getvalue()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", "little")
        for key, storage in pickler.storages.items():
            archive.writestr(f"archive/data/{key}", storage.numbers.tobytes())
        archive.writestr("archive/version", "3\n")
    return out.getvalue()
