"""InterFaceGAN: the plane in latent space that separates an attribute.

Interpreting the Latent Space of GANs for Semantic Face Editing, Shen et al., CVPR 2020,
arXiv:1907.10786. A linear support vector machine separates the codes with the highest scores from
those with the lowest; the normal of its plane is the direction of the attribute.

Differs from the code: the hinge loss is squared and thus smooth, so a general minimizer finds its
unique minimum; the code uses a library with the plain hinge loss.

Reference: genforce/interfacegan.
"""

import numpy as np
import scipy.optimize

from tfgans.errors import BadInput


def boundary(codes, scores, share=0.02, cost=1.0):
    """The unit normal [D] of the plane between low and high scores; it points to the high scores.

    Args:
        codes: z or w, [n, D].
        scores: Score of each code [n].
        share: Share of the codes taken from each end; at least 100 codes, at most half of all.
        cost: C of the support vector machine.

    Raises:
        BadInput: All scores are equal.
    """
    codes, scores = np.asarray(codes, "float64"), np.asarray(scores, "float64")
    if scores.min() == scores.max():
        raise BadInput("All scores are equal: wanted high and low scores to separate.")
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
    """Projects `normal` on the complement of the `conditions`, so a move along it keeps them.

    For one condition this is n1 - (n1.n2) n2. The conditions need not be orthogonal.

    Args:
        normal: Normal to project [D].
        conditions: Normals of the attributes to keep [k, D].

    Returns:
        Unit vector [D].

    Raises:
        BadInput: `normal` is a combination of the conditions.
    """
    conditions = np.atleast_2d(np.asarray(conditions, "float64"))
    part = np.linalg.lstsq(conditions.T, normal, rcond=None)[0] @ conditions
    rest = np.asarray(normal, "float64") - part
    if np.linalg.norm(rest) < 1e-9:
        raise BadInput("The direction is a combination of its conditions: take fewer conditions.")
    return rest / np.linalg.norm(rest)
