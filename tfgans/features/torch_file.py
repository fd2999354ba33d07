"""Reads the tensors of a PyTorch file without PyTorch, and without running what the file says.

PyTorch files are pickles, and a pickle is a program. Here it may build dicts, lists and references
to storages, and nothing else. Both formats are read: the zip archives of PyTorch 1.6 and later, and
the row of pickles with raw storages behind them that came before.
"""

import collections
import pathlib
import pickle
import zipfile

import numpy as np

from tfgans.errors import BadInput

TYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "?",
}  # fmt: skip
MAGIC = 0x1950A86A20F9469CFC6C  # of the format before the archives

Storage = collections.namedtuple("Storage", "key dtype")
Tensor = collections.namedtuple("Tensor", "storage offset shape strides")


def read_torch(path) -> dict:
    """The tensors of a state dict by name, as arrays.

    Args:
        path: Of a file that `torch.save(network.state_dict(), path)` wrote.

    Raises:
        BadInput: The file is damaged, is no state dict, or asks for anything but tensors.
    """
    path = pathlib.Path(path)
    read = _read_archive if zipfile.is_zipfile(path) else _read_pickles
    try:
        state, storages = read(path)
        return {name: _array(tensor, storages) for name, tensor in _tensors(state).items()}
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, EOFError, OSError, AttributeError, KeyError,
        IndexError, TypeError, ValueError,
    ) as error:  # fmt: skip
        raise BadInput(
            f"{path} cannot be read as tensors of PyTorch ({error}). Wanted: a whole file of "
            "torch.save(network.state_dict(), path)."
        ) from error


class _TensorsOnly(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: Tensor(
                storage, offset, shape, strides
            )
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"it wants to run {module}.{name}")

    def persistent_load(self, saved):
        kind, dtype, key, *_ = saved
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind}")
        return Storage(key, dtype)


def _read_archive(path):
    """name/data.pkl says what there is; name/data/<key> are the storages."""
    with zipfile.ZipFile(path) as archive:
        (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = index.removesuffix(".pkl") + "/"
        with archive.open(index) as file:
            state = _TensorsOnly(file).load()
        storages = {
            name.removeprefix(folder): archive.read(name)
            for name in archive.namelist()
            if name.startswith(folder)
        }
    return state, storages


def _read_pickles(path):
    """Magic number, version, machine, state, keys of storages; length and bytes of each."""
    with path.open("rb") as file:
        magic, _, _, state, keys = (_TensorsOnly(file, encoding="latin1").load() for _ in range(5))
        if magic != MAGIC:
            raise pickle.UnpicklingError("it does not begin as a file of PyTorch")
        types = {t.storage.key: np.dtype(t.storage.dtype) for t in _tensors(state).values()}
        storages = {}
        for key in keys:
            length = int.from_bytes(file.read(8), "little") * types[key].itemsize
            storages[key] = file.read(length)
    return state, storages


def _tensors(state):
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _array(tensor, storages):
    """A copy of the part of a storage that a tensor shows."""
    flat = np.frombuffer(storages[tensor.storage.key], tensor.storage.dtype)
    last = tensor.offset + sum(
        (n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True)
    )
    if min(tensor.strides, default=0) < 0 or not 0 <= tensor.offset <= last < len(flat):
        raise ValueError(f"a tensor of shape {list(tensor.shape)} lies outside of its storage")
    strides = [step * flat.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides)
    return view.copy()
