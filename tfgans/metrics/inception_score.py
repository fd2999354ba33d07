"""Inception Score — Improved Techniques for Training GANs.

Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 4.

IS = exp(E_x KL(p(y|x) || p(y))). It is high when the classifier is sure of the class of each image
and all classes occur. Published numbers use 50,000 images in 10 splits; splitting lowers the score.
tensorflow-gan's `classifier_score` does not split: `splits=1`.

Reference: openai/improved-gan, inception_score/model.py; tensorflow/gan, classifier_metrics.py.
"""

import numpy as np
from scipy.special import log_softmax

from tfgans.errors import BadInput
from tfgans.metrics.distances import at_least


def inception_score(logits, splits: int = 10) -> tuple[float, float]:
    """The score of a set of images.

    Args:
        logits: A classifier's logits of the images [N, K], array or tensor, in random order.
            Published scores use the 1,008 logits of the Inception graph, without the bias.
        splits: Number of consecutive parts, each scored by itself.

    Returns:
        Mean and population standard deviation (ddof 0) over the splits. The score is at least 1
        and at most K.

    Raises:
        BadInput: The logits are not [N, K], N is less than the number of splits, or a row is not
            that of a distribution: NaN, +inf, or nothing but -inf.
    """
    logits = np.asarray(logits, "float64")
    at_least("splits", splits, 1)
    if logits.ndim != 2 or len(logits) < splits or 0 in logits.shape:
        raise BadInput(f"Wanted logits [N, K] with N at least {splits}, not {logits.shape}.")
    if not np.isfinite(logits.max(axis=1)).all():  # -inf is a class of probability 0
        raise BadInput("The logits hold NaN or infinite values. Look at the classifier.")
    log_p = log_softmax(logits, axis=1)
    edges = [i * len(logits) // splits for i in range(splits + 1)]
    scores = []
    for begin, end in zip(edges, edges[1:], strict=False):
        part = log_p[begin:end]
        p = np.exp(part)
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 log 0 = 0
            kl = np.where(p > 0, p * (part - np.log(p.mean(axis=0))), 0).sum(axis=1)
        scores.append(np.exp(kl.mean()))
    return float(np.mean(scores)), float(np.std(scores))
