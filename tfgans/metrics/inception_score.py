"""Inception Score — Improved Techniques for Training GANs.

Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 4.

IS = exp(E_x KL(p(y|x) || p(y))): high where each image is one class for sure and all classes occur.
Published numbers are of 50,000 images in 10 splits; splitting lowers the score. tensorflow-gan's
`classifier_score` knows no splits: `splits=1`.

Reference: openai/improved-gan, inception_score/model.py; tensorflow/gan, classifier_metrics.py.
"""

import numpy as np
from scipy.special import log_softmax

from tfgans.errors import BadInput


def inception_score(logits, splits: int = 10) -> tuple[float, float]:
    """The score of images from the logits that a classifier gives them.

    Args:
        logits: [N, K], before the softmax, array or tensor, in random order. Those of published
            scores are the 1,008 of the Inception graph, without the bias.
        splits: Consecutive parts of which each is scored by itself.

    Returns:
        Mean and standard deviation (of the population: ddof 0) over the splits; the score is at
        least 1 and at most K.

    Raises:
        BadInput: The logits are no table, or fewer than the splits.
    """
    logits = np.asarray(logits, "float64")
    if logits.ndim != 2 or len(logits) < splits:
        raise BadInput(f"Wanted logits [N, K] with N at least {splits}, not {logits.shape}.")
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
