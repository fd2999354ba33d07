"""Boundaries of InterFaceGAN: the plane in latent space that separates an attribute.

Interpreting the Latent Space of GANs for Semantic Face Editing, Shen et al., CVPR 2020,
arXiv:1907.10786. A linear support vector machine separates the codes of the highest from those of
the lowest scores; its normal is the direction of the attribute.

Differs from the code: the squared hinge loss, smooth, so that a general minimizer finds its one
minimum; the code takes the plain hinge of a library.

Reference: genforce/interfacegan.
"""

import numpy as np
import scipy.optimize

from tfgans.errors import BadInput


def boundary(codes, scores, share=0.02, cost=1.0):
    """The unit normal [D] of the plane between high and low scores, pointing to the high ones.

    Args:
        codes: z or w, [n, D].
        scores: [n].
        share: Part of the codes taken from either end; at least 100 codes, at most half of all.
        cost: C of the support vector machine.
    """
    codes, scores = np.asarray(codes, "float64"), np.asarray(scores, "float64")
    if scores.min() == scores.max():
        raise BadInput("The scores are all the same: there is nothing to separate.")
    order = np.argsort(scores, kind="stable")
    count = min(max(int(share * len(scores)), 100), len(scores) // 2)
    x = codes[np.concatenate([order[:count], order[-count:]])]
    y = np.repeat([-1.0, 1.0], count)

    def loss(weights):
        """0.5 |w|^2 + C sum max(0, 1 - y (w.x + b))^2, and its gradient."""
        w, b = weights[:-1], weights[-1]
        short = np.maximum(0.0, 1.0 - y * (x @ w + b))
        pull = -2.0 * cost * short * y
        return 0.5 * w @ w + cost * short @ short, np.append(w + x.T @ pull, pull.sum())

    start = np.zeros(x.shape[1] + 1)
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 10_000, "maxfun": 100_000}
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    normal = found.x[:-1]
    return normal / np.linalg.norm(normal)


def conditional(normal, conditions):
    """`normal` without its part in the space of the `conditions`: moving along it keeps them.

    For one condition n1 - (n1.n2) n2; several need not be orthogonal to each other.

    Args:
        normal: [D].
        conditions: [k, D].

    Returns:
        Unit vector [D].
    """
    conditions = np.atleast_2d(np.asarray(conditions, "float64"))
    part = np.linalg.lstsq(conditions.T, normal, rcond=None)[0] @ conditions
    rest = np.asarray(normal, "float64") - part
    if np.linalg.norm(rest) < 1e-9:
        raise BadInput("The direction is a combination of its conditions: nothing remains.")
    return rest / np.linalg.norm(rest)
