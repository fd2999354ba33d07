"""Files of earlier versions, brought into today's form before Keras loads them."""

import contextlib
import io
import json
import pathlib
import re
import tempfile
import zipfile

import h5py

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
NESTED = re.compile(r"(.*)/(?:convs|blocks)/container(?:_(\d+))?/(\w+?)(?:_(\d+))?")
SCHEDULES = {  # class that is gone -> what it adds to the arguments of `HoldThenDecay`
    "LinearDecay": {},
    "DecayAtTheEnd": {"final": 0.01, "exponential": True},
}


@contextlib.contextmanager
def upgraded(path):
    """A `.keras` file in today's form: the given one, or a temporary copy that was changed.

    Version 0.1 kept the convolutions of StyleGAN2 and ProGAN in lists of lists. Keras 3.15 stores
    each inner list as a container; earlier versions left them out, and their weights are lost.
    SNGAN and BiGAN had schedules of their own. Until version 0.2 ProjectionGAN was an SNGAN.
    """
    with zipfile.ZipFile(path) as archive:
        changes = {CONFIG: renamed, WEIGHTS: flattened}
        parts = {name: archive.read(name) for name in changes if name in archive.namelist()}
        new = {name: changes[name](content) for name, content in parts.items()}
        if new == parts:
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "upgraded.keras"
            with zipfile.ZipFile(copy, "w") as file:
                for name in archive.namelist():
                    file.writestr(name, new.get(name) or archive.read(name))
            yield copy


def renamed(content: bytes) -> bytes:
    """The configuration with today's classes in place of those that are gone."""

    def change(node):
        if node.get("class_name") == "SNGAN" and "projection" in node["config"]:
            return without_projection(node)
        more = SCHEDULES.get(node.get("class_name"))
        if more is None:
            return node
        start, end = node["config"]["start"], node["config"]["end"]
        settings = {"rate": node["config"]["rate"], "hold_steps": start, "decay_steps": end - start}
        return {
            "module": "tfgans.optimizers",
            "class_name": "HoldThenDecay",
            "config": settings | more,
            "registered_name": "tfgans>HoldThenDecay",
        }

    if not any(name.encode() in content for name in (*SCHEDULES, '"projection"')):
        return content
    return json.dumps(json.loads(content, object_hook=change)).encode()


def without_projection(node):
    """An SNGAN of the time when its discriminator for labels was a choice."""
    config = dict(node["config"])
    if not (config.pop("projection") and config["num_classes"]):
        return node | {"config": config}
    del config["architecture"]
    names = {"module": "tfgans.models.projection", "class_name": "ProjectionGAN"}
    return node | names | {"config": config, "registered_name": "tfgans>ProjectionGAN"}


def flattened(content: bytes) -> bytes:
    """HDF5 weights with the layers of inner lists as members of one list, "convs"."""
    if b"container" not in content:
        return content
    memory, counts = io.BytesIO(content), {}
    with h5py.File(memory, "r+") as file:
        found = []
        file.visit(lambda name: found.append(NESTED.fullmatch(name)))
        order = sorted(
            filter(None, found), key=lambda m: (m[1], int(m[2] or 0), m[3], int(m[4] or 0))
        )
        for match in order:
            kind = match[1], match[3]
            number = counts[kind] = counts.get(kind, -1) + 1
            file.move(match[0], f"{match[1]}/convs/{match[3]}" + (f"_{number}" if number else ""))
    return memory.getvalue()
