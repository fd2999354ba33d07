"""Reads PyTorch's files without PyTorch: tensors inside pickles, and `.pth` state dicts.

A pickled tensor is a call with a storage (an array of numbers), an offset, sizes and strides. The
storages are outside of the pickle: since PyTorch 1.6 as one file each in a zip archive, before that
one after the other behind the pickle. A storage inside an ordinary pickle is a byte string that
holds a file of the older format.
"""

import io
import math
import pathlib
import struct
import zipfile

import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign import pickles
from tfgans.foreign.pickles import Record, to_array

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
STORAGES = {
    "torch.DoubleStorage": "<f8",
    "torch.FloatStorage": "<f4",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "<i1",
    "torch.ByteStorage": "<u1",
    "torch.BoolStorage": "?",
}
TENSORS = {
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
}
IN_PICKLES = TENSORS | {"torch.storage._load_from_bytes"}
INERT = {"torch.device"} | {f"torch.{name}" for name in ("float16", "float32", "float64", "int64")}


def is_own_file(data) -> bool:
    """True for the bytes of a file of `torch.save`, of the zip format or of the older one."""
    old = b"\x80\x02\x8a\x0a" + MAGIC_NUMBER.to_bytes(10, "little") + b"."
    return data.startswith((b"PK\x03\x04", old))


def read_state_dict(path) -> dict:
    """Reads the tensors of a `.pth` or `.pt` file that `torch.save` wrote, without PyTorch.

    Args:
        path: Path of the file. It holds a state dict, or dicts of state dicts.

    Returns:
        Name -> array, with the names of nested dicts joined by dots. Layouts are PyTorch's: kernels
        of convolutions [out, in, height, width], of dense layers [out, in]. Values other than
        tensors are left out. The arrays are read-only.

    Raises:
        BadInput: The file is damaged, or holds objects other than tensors in plain containers (a
            whole module, a TorchScript archive). Nothing in it is run.
    """
    path = pathlib.Path(path).expanduser()
    data = path.read_bytes()
    with pickles.refusals(path):
        return tensors_of(load(data, set(STORAGES) | TENSORS | INERT))


def tensors_of(tree):
    """Returns name -> array for all tensors in a tree of dicts."""
    found, seen, left = {}, set(), [("", tree)]
    while left:
        prefix, branch = left.pop()
        if not isinstance(branch, dict) or id(branch) in seen or len(prefix) > 300:
            raise BadInput("it does not hold tensors in a tree of dicts")
        seen.add(id(branch))
        for key, value in branch.items():
            if isinstance(value, dict):
                left.append((f"{prefix}{key}.", value))
            elif isinstance(value, Record) and value.name in TENSORS:
                found[f"{prefix}{key}"] = tensor(value)
    return found


def load(data, names, limit=pickles.MOST_INSTRUCTIONS):
    """Reads a file that `torch.save` wrote; tensors in the result are records.

    Args:
        data: Content of the file, bytes.
        names: (module, name) of each class and function that the pickle may name.
        limit: Instructions of a pickle, at most.
    """
    if data[:4] == b"PK\x03\x04":
        return load_zip(data, names, limit)
    stream = io.BytesIO(data)
    magic, version, system = (pickles.read(stream, set(), limit)[0] for _ in range(3))
    if magic != MAGIC_NUMBER or version != 1001 or not system["little_endian"]:
        raise BadInput("it is not a file of PyTorch's old format, or is from a big-endian machine")
    value, storages = pickles.read(stream, names, limit)
    keys, _ = pickles.read(stream, set(), limit)
    by_key = {key_of(storage): storage for storage in storages}
    if not all(map(pickles.is_short, keys)):
        raise BadInput("it has a storage of an unknown form")
    for key in keys:
        dtype, count = storage_type(by_key[key])
        (written,) = struct.unpack("<q", stream.read(8))
        if written != count:
            raise BadInput("a storage differs in length from the pickle's record")
        start = stream.tell()
        by_key[key].state = np.frombuffer(data, dtype, count, offset=start)
        stream.seek(start + count * dtype.itemsize)
    share(storages, by_key)
    return value


def load_zip(data, names, limit):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if sum(entry.file_size for entry in entries.values()) > len(data):
            raise BadInput("its parts are together larger than the file")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise BadInput("its parts are compressed, which PyTorch does not do")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise BadInput("it is from a big-endian machine")
        stream = io.BytesIO(archive.read(entries["data.pkl"]))
        value, storages = pickles.read(stream, names, limit)
        by_key = {key_of(storage): storage for storage in storages}
        for key, storage in by_key.items():
            dtype, count = storage_type(storage)
            storage.state = np.frombuffer(archive.read(entries[f"data/{key}"]), dtype, count)
    share(storages, by_key)
    return value


def key_of(storage):
    """Returns the name of a storage in the file."""
    key = storage.args[2]
    if not pickles.is_short(key):
        raise BadInput("it has a storage of an unknown form")
    return key


def storage_type(storage):
    """Returns the type and the number of elements of a storage."""
    _, kind, _, _, count, *view = storage.args
    known = isinstance(kind, str) and kind in STORAGES and isinstance(count, int) and count >= 0
    if not known or (view and view[0] is not None):  # only PyTorch before 0.4 wrote views
        raise BadInput("it has a storage of an unknown form")
    return np.dtype(STORAGES[kind]), count


def share(storages, by_key):
    """Gives all records of a storage its array: there is one record for each tensor."""
    for storage in storages:
        storage.state = by_key[key_of(storage)].state


def tensor(record) -> np.ndarray:
    """Converts a pickled tensor, parameter or NumPy array to an array."""
    if not isinstance(record, Record) or record.name not in TENSORS:
        return to_array(record)
    if record.name == "torch._utils._rebuild_parameter":
        record = record.args[0]
    storage, offset, size, stride, *_ = record.args
    if storage.name == "torch.storage._load_from_bytes":
        # The pickle of a storage may hold nothing else, in particular no nested file.
        storage = load(storage.args[0], set(STORAGES), limit=1000)
    numbers = storage.state
    for sizes in (size, stride, (offset,)):
        pickles.check_sizes(sizes)
    if len(size) != len(stride):
        raise BadInput("it has a tensor whose number of sizes differs from its number of strides")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) > len(numbers) or (math.prod(size) and last >= len(numbers)):
        raise BadInput(f"it has a tensor of size {size} that is larger than its storage")
    steps = [step * numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


def from_torch(kernel):
    """A kernel in our layout: [out, in] -> [in, out], or [out, in, h, w] -> [h, w, in, out].

    In and out change places for a transposed convolution, in PyTorch and here.
    """
    return kernel.T if kernel.ndim == 2 else kernel.transpose(2, 3, 1, 0)
