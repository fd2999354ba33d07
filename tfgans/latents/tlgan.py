"""Feature axes of TL-GAN: the direction in which each attribute grows, kept apart from others.

Transparent latent-space GAN, Shaobo Guan, 2018 (SummitKwan/transparent_latent_gan), a project
without a paper. Attribute scores are regressed on the codes; axes are made orthogonal to base axes,
so that moving along one leaves the base attributes alone.

Differs from the code: its flag for a base that is orthogonal already is inverted in one place; here
the base is always made orthogonal.
"""

import numpy as np

from tfgans.errors import BadInput


def feature_axes(codes, scores, tanh=False):
    """Coefficients of ordinary least squares, one unit axis per attribute: [attributes, D].

    Args:
        codes: z or w, [n, D], n > D.
        scores: [n, attributes].
        tanh: The scores come out of a tanh: they are clipped to +-tanh(3) and undone.

    Raises:
        BadInput: Too few codes, or an attribute that is the same in all of them.
    """
    codes, scores = np.asarray(codes, "float64"), np.asarray(scores, "float64")
    if len(codes) <= codes.shape[1]:
        raise BadInput(f"A regression needs more than {codes.shape[1]} scores, not {len(codes)}.")
    if np.any(np.ptp(scores, axis=0) == 0):
        constant = np.flatnonzero(np.ptp(scores, axis=0) == 0).tolist()
        raise BadInput(f"Attributes {constant} (from 0) are the same in all samples.")
    if tanh:
        scores = np.arctanh(np.clip(scores, -np.tanh(3), np.tanh(3)))
    ones = np.ones([len(codes), 1])
    found = np.linalg.lstsq(np.concatenate([codes, ones], axis=1), scores, rcond=None)[0]
    axes = found[:-1].T
    return axes / np.linalg.norm(axes, axis=1, keepdims=True)


def orthogonalize(axes, base):
    """Takes out of each axis what it shares with the base axes.

    Args:
        axes: [n, D].
        base: Numbers of the base axes. Each base axis is freed of those named before it, so their
            order matters; all other axes are freed of all of them.

    Returns:
        Unit axes [n, D].
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
