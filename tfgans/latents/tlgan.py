"""TL-GAN: an axis in latent space for each attribute, orthogonal to the axes of others.

Transparent latent-space GAN, Shaobo Guan, 2018 (SummitKwan/transparent_latent_gan), a project
without a paper. Attribute scores are regressed on the codes. Each axis is made orthogonal to the
base axes, so a move along it leaves the base attributes alone.

Differs from the code: the code inverts the flag for an already orthogonal base in one place; here
the base is always made orthogonal.
"""

import numpy as np

from tfgans.errors import BadInput


def feature_axes(codes, scores, tanh=False):
    """One unit axis per attribute by ordinary least squares: [attributes, D].

    Args:
        codes: z or w, [n, D], n > D.
        scores: Attribute scores [n, attributes].
        tanh: The scores are outputs of a tanh; clip them to +-tanh(3) and invert it. One truth
            value, or one for each attribute.

    Raises:
        BadInput: n is not above D, or an attribute has the same score for all codes.
    """
    codes, scores = np.asarray(codes, "float64"), np.asarray(scores, "float64")
    if len(codes) <= codes.shape[1]:
        raise BadInput(f"A regression needs more than {codes.shape[1]} scores, not {len(codes)}.")
    scores = np.where(tanh, np.arctanh(np.clip(scores, -np.tanh(3), np.tanh(3))), scores)
    if np.any(np.ptp(scores, axis=0) == 0):
        constant = np.flatnonzero(np.ptp(scores, axis=0) == 0).tolist()
        raise BadInput(f"Attributes {constant} (from 0) have the same score in all samples.")
    ones = np.ones([len(codes), 1])
    found = np.linalg.lstsq(np.concatenate([codes, ones], axis=1), scores, rcond=None)[0]
    axes = found[:-1].T
    return axes / np.linalg.norm(axes, axis=1, keepdims=True)


def orthogonalize(axes, base):
    """Makes axes orthogonal to the base axes.

    Args:
        axes: [n, D].
        base: Numbers of the base axes. Each base axis is made orthogonal to those named before it,
            so their order matters; the other axes are made orthogonal to all of them.

    Returns:
        Unit axes [n, D].

    Raises:
        BadInput: An axis is a combination of the base axes.
    """
    axes = np.array(axes, "float64")
    rest = [k for k in range(len(axes)) if k not in base]
    for place, k in enumerate([*base, *rest]):
        for b in base[:place]:
            axes[k] -= axes[k] @ axes[b] * axes[b]
        length = np.linalg.norm(axes[k])
        if length < 1e-9:
            raise BadInput(f"Axis {k} is a combination of the base axes {list(base)}.")
        axes[k] /= length
    return axes
