"""Files of earlier versions of tfgans, brought into today's form before Keras loads them."""

import contextlib
import io
import pathlib
import re
import tempfile
import zipfile

import h5py

WEIGHTS = "model.weights.h5"
NESTED = re.compile(r"(.*)/(?:convs|blocks)/container(?:_(\d+))?/(\w+?)(?:_(\d+))?")


@contextlib.contextmanager
def upgraded(path):
    """A `.keras` file in today's form: the given one, or a temporary copy that was changed.

    Version 0.1 kept the convolutions of StyleGAN2 and ProGAN in lists of lists. Keras 3.15 stored
    each inner list as a container; the versions before left them out, and their weights are lost.
    """
    with zipfile.ZipFile(path) as archive:
        if WEIGHTS not in archive.namelist() or not has_containers(archive):
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "upgraded.keras"
            with zipfile.ZipFile(copy, "w") as new:
                for name in archive.namelist():
                    content = archive.read(name)
                    new.writestr(name, flattened(content) if name == WEIGHTS else content)
            yield copy


def has_containers(archive) -> bool:
    with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
        return bool(nested(file))


def nested(file) -> list:
    """Matches of the groups of layers in inner lists, in the order of the layers."""
    found = []
    file.visit(lambda name: found.append(NESTED.fullmatch(name)))
    return sorted(filter(None, found), key=lambda m: (m[1], int(m[2] or 0), m[3], int(m[4] or 0)))


def flattened(content: bytes) -> bytes:
    """HDF5 weights with the layers of inner lists as members of one list, "convs"."""
    memory, counts = io.BytesIO(content), {}
    with h5py.File(memory, "r+") as file:
        for match in nested(file):
            kind = match[1], match[3]
            number = counts[kind] = counts.get(kind, -1) + 1
            file.move(match[0], f"{match[1]}/convs/{match[3]}" + (f"_{number}" if number else ""))
    return memory.getvalue()
