"""Finds edits of a generator by the name of a method."""

import numpy as np

from tfgans.errors import BadInput, nearest
from tfgans.latents import attributes, ganspace, interfacegan, sefa, tlgan
from tfgans.latents.edits import Edit


def from_weights(space, layers, count):
    """The first `count` directions of SeFa for the given layers.

    Args:
        space: The `Space` of a generator.
        layers: Numbers of the layers that the edits move.
        count: Number of directions.
    """
    _, directions = sefa.sefa(sefa.first_weights(space, layers))
    kind = "w" if space.has_styles else "z"
    return [Edit(f"sefa{k}", row, kind, layers) for k, row in enumerate(directions[:count])]


def from_components(space, layers, count):
    """The first `count` components of GANSpace, applied to the given layers.

    Args:
        space: A `Space`.
        layers: Numbers of the layers that the edits move, in w; edits in z move all.
        count: Number of components.
    """
    if space.has_styles:
        components, deviations, _ = ganspace.components_of_w(space, count)
        kind, rows = "w", components * deviations[:, None]
    else:
        kind, rows = "z", ganspace.components_of_z(space, count)
    return [Edit(f"pca{k}", row, kind, layers) for k, row in enumerate(rows)]


def from_scores(method, space, scored, kind, layers, base=()):
    """One edit for each attribute, from scores of images.

    Args:
        method: "difference" (a code has an attribute if its score is above the mean score),
            "tlgan" (an attribute whose scores lie in [0, 1] is a probability, whose sigmoid is
            undone first) or "interfacegan".
        space: A `Space`.
        scored: Seeds, names of attributes, scores [n, attributes].
        kind: "z" or "w": the codes to use.
        layers: Layers that edits in w change.
        base: Names of attributes that the other edits should leave alone: the means are matched in
            them, or the axes and normals are orthogonal to theirs.
    """
    seeds, names, scores = scored
    for name in base:
        if name not in names:
            raise BadInput(nearest("attribute", name, names))
    base = [names.index(name) for name in base]
    codes = space.z(seeds)
    if kind == "w":
        codes = space.w(codes, space.labels(seeds)).numpy()
    if method == "difference":
        has = scores > scores.mean(axis=0)
        others = [has[:, [b for b in base if b != k]] for k in range(len(names))]
        rows = [attributes.difference(codes, has[:, k], others[k]) for k in range(len(names))]
    elif method == "tlgan":
        share = (scores.min(axis=0) >= 0) & (scores.max(axis=0) <= 1)
        axes = tlgan.feature_axes(codes, np.where(share, 2 * scores - 1, scores), tanh=share)
        rows = tlgan.orthogonalize(axes, base)
    else:
        rows = [interfacegan.boundary(codes, column) for column in scores.T]
        kept = [rows[b] for b in base]
        for k in range(len(rows)):
            if kept and k not in base:
                rows[k] = interfacegan.conditional(rows[k], kept)
    return [Edit(name, row, kind, layers) for name, row in zip(names, rows, strict=True)]


UNSUPERVISED = {"sefa": from_weights, "ganspace": from_components}
SUPERVISED = ("difference", "tlgan", "interfacegan")
