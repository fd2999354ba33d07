"""Random weights by name, and PyTorch's files of them, without PyTorch."""

import pickle
import zipfile
import zlib

import numpy as np


def weight(name, shape):
    """The random weights of a name that the reference was made with."""
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("var"):
        return draw.uniform(0.5, 1.5, shape).astype("float32")
    if "bn.weight" in name:
        return draw.uniform(0.8, 1.6, shape).astype("float32")
    if len(shape) == 1:
        return draw.normal(0, 0.1, shape).astype("float32")
    return (draw.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5).astype("float32")


class Named:
    """Pickled as a function of PyTorch that is not here."""

    def __init__(self, name, *arguments):
        self.name, self.arguments = name, arguments


class Pickler(pickle._Pickler):
    """Writes what PyTorch would write, without PyTorch."""

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Named):
            module, _, name = value.name.rpartition(".")
            self.write(b"c" + f"{module}\n{name}\n".encode())
            if value.arguments:
                self.save(value.arguments)
                self.write(b"R")
            return
        super().save(value, save_persistent_id)

    def persistent_id(self, value):
        if isinstance(value, dict) and "storage" in value:
            return "storage", Named("torch.FloatStorage"), value["storage"], "cpu", value["size"]
        return None


def write_torch(path, state):
    """A state dict of float32 arrays as torch.save writes it."""
    with zipfile.ZipFile(path, "w") as archive:
        tensors = {}
        for i, (name, array) in enumerate(state.items()):
            archive.writestr(f"x/data/{i}", array.tobytes())
            strides = tuple(s // 4 for s in array.strides)
            storage = {"storage": str(i), "size": array.size}
            tensors[name] = Named(
                "torch._utils._rebuild_tensor_v2", storage, 0, array.shape, strides, False, {}
            )
        with archive.open("x/data.pkl", "w") as file:
            Pickler(file, 2).dump(tensors)
