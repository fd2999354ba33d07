"""Edits: named directions with a strength, which can be stacked, written as YAML, and served.

A method writes its directions into one `.npz` file, as arrays z/NAME or w/NAME. A line of YAML
uses one of them:

    - {name: longer, file: shirts.npz, direction: sefa0, layers: 0-3, strength: 2.0}
"""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
import yaml

from tfgans.config import check_words, parse
from tfgans.data.arrays import load_numpy
from tfgans.errors import BadInput, nearest
from tfgans.latents.mixing import layers_of

WORDS = ("name", "file", "direction", "layers", "strength")


@dataclasses.dataclass
class Edit:
    """A move of the code: code + strength * vector.

    Args:
        name: Name for people and for pictures.
        vector: [D]; its length is one unit of strength.
        space: "z", before the mapping, or "w".
        layers: Numbers of the layers that a move in w changes.
        strength: Default strength.
    """

    name: str
    vector: np.ndarray
    space: str
    layers: list
    strength: float = 1.0

    def line(self, file):
        """The line of YAML for this edit, with its vector in `file`."""
        words = {
            "name": self.name,
            "file": file,
            "direction": self.name,
            "layers": ",".join(map(str, self.layers)),
            "strength": self.strength,
        }
        line = yaml.safe_dump(words, default_flow_style=True, sort_keys=False, width=1000)
        return f"- {line.strip()}"


def save(edits, stem):
    """Writes edits to <stem>.npz (the vectors) and <stem>.yaml (a line for each edit)."""
    np.savez(f"{stem}.npz", **{f"{e.space}/{e.name}": e.vector for e in edits})
    file = pathlib.Path(f"{stem}.npz").name
    text = "\n".join(e.line(file) for e in edits) + "\n"
    pathlib.Path(f"{stem}.yaml").write_text(text, encoding="utf-8")


def load(path, space):
    """Reads the edits of a YAML file; its `.npz` files lie beside it.

    Args:
        path: The YAML file.
        space: The `Space` to edit.

    Raises:
        BadInput: The file has another form, or a vector does not have the length of the codes.
    """
    lines = parse(pathlib.Path(path).read_bytes(), path)
    if (
        not lines
        or not isinstance(lines, list)
        or not all(isinstance(line, dict) for line in lines)
    ):
        raise BadInput(f"{path} must be a list of lines like - {{name: ..., file: ..., ...}}")
    edits = []
    for line in lines:
        check_words("word of an edit", line, WORDS)
        missing = {"file", "direction"} - set(line)
        if missing:
            raise BadInput(f"{path}: the edit {line} has no {' and no '.join(sorted(missing))}.")
        vectors = load_numpy(pathlib.Path(path).parent / str(line["file"]))
        known = {key.partition("/")[2]: key for key in vectors}
        direction = str(line["direction"])
        if direction not in known:
            raise BadInput(nearest(f"direction in {line['file']}", direction, known))
        kind, vector = known[direction][0], vectors[known[direction]]
        wanted = space.dims[kind]
        if len(vector) != wanted:
            raise BadInput(
                f"{line['file']} has {kind} of length {len(vector)}; this model's is {wanted}."
            )
        layers = layers_of(str(line.get("layers", "all")), space.num_ws)
        name, strength = str(line.get("name", direction)), line.get("strength", 1.0)
        if type(strength) not in (int, float) or not np.isfinite(strength):
            raise BadInput(f"{path}: strength of {name} must be a number, not {strength!r:.80}.")
        edits.append(Edit(name, vector, kind, layers, strength))
    return edits


def apply(space, edits, z, label=None, truncation=None, strengths=None):
    """Edited ws [n, num_ws, D]: edits in z, then mapping, truncation, edits in w.

    Args:
        space: A `Space`.
        edits: List of `Edit`; all are applied.
        z, label, truncation: As `Space.ws` takes them.
        strengths: [n or 1, len(edits)]; the default is each edit's own strength.
    """
    if strengths is None:
        strengths = [[edit.strength for edit in edits]]
    strengths = tf.convert_to_tensor(strengths, "float32")
    in_z = np.zeros([len(edits), z.shape[1]], "float32")
    in_w = np.zeros([len(edits), space.num_ws, space.dims["w"]], "float32")
    for k, edit in enumerate(edits):
        if edit.space == "z":
            in_z[k] = edit.vector
        else:
            in_w[k, edit.layers] = edit.vector
    ws = space.ws(z + tf.matmul(strengths, in_z), label, truncation)
    return ws + tf.tensordot(strengths, in_w, 1)


def strip(space, edits, seed, strengths, truncation=None):
    """Images of each edit alone (rows) at each strength (columns), [edits, strengths, H, W, C].

    Args:
        space: The `Space` of a generator.
        edits: List of `Edit`.
        seed: Seed of the image.
        strengths: Numbers, in the edits' units.
        truncation: As `Space.ws` takes it.
    """
    z, label = space.z([seed]), space.labels([seed])
    rows = []
    for edit in edits:
        moved = [apply(space, [edit], z, label, truncation, [[s]]) for s in strengths]
        rows.append(space.images(tf.concat(moved, axis=0)))
    return np.stack(rows)


def stacked(space, edits, seeds, truncation=None):
    """Images of each seed (rows) with no edit, the first, the first two, ... (columns).

    Args:
        space: The `Space` of a generator.
        edits: List of `Edit`, each with its own strength.
        seeds: Seeds of the rows.
        truncation: As `Space.ws` takes it.

    Returns:
        [seeds, edits + 1, H, W, C].
    """
    z, label = space.z(seeds), space.labels(seeds)
    own = np.array([edit.strength for edit in edits])
    columns = []
    for count in range(len(edits) + 1):
        strengths = [own * (np.arange(len(edits)) < count)]
        columns.append(space.images(apply(space, edits, z, label, truncation, strengths)))
    return np.stack(columns, axis=1)


def endpoint(space, edits):
    """The function and input signature of the endpoint `edit` in an exported model.

    It takes z [n, latent_dim], label [n, num_classes] unless the space has one class for all
    images, truncation [n] and strengths [n, len(edits)]. It gives image [n, H, W, C] in [-1, 1].

    Args:
        space: The `Space` of a generator.
        edits: List of `Edit`.
    """
    names = {"z": space.dims["z"], "label": space.model.label_dim}
    if space.label is not None or not space.model.label_dim:
        names.pop("label")
    signature = [tf.TensorSpec([None, width], name=name) for name, width in names.items()]
    signature.append(tf.TensorSpec([None], name="truncation"))
    signature.append(tf.TensorSpec([None, len(edits)], name="strengths"))

    def edit(z, *rest):
        *label, truncation, strengths = rest
        label = label[0] if label else space.labels([0])
        if label is not None:
            label = tf.repeat(label, tf.shape(z)[0] // tf.shape(label)[0], axis=0)
        return {"image": space.synthesize(apply(space, edits, z, label, truncation, strengths))}

    return edit, signature
