"""Intra-FID — cGANs with Projection Discriminator.

Miyato and Koyama, ICLR 2018, arXiv:1802.05637, section 4: the mean over classes of the FID of
each class against the real images of that class. It sees what the FID of all images does not: a
generator that mixes up its labels. Published values are of 5,000 generated images per class.
"""

import numpy as np

from tfgans.errors import BadInput
from tfgans.metrics.fid import fid


def intra_fid(real, real_labels, fake, fake_labels, ddof: int = 1) -> float:
    """The mean distance over the classes that the real images have.

    Args:
        real: Features [N, d], array or tensor.
        real_labels: Class numbers [N].
        fake: Features [M, d].
        fake_labels: Class numbers [M].
        ddof: As in `fid`.

    Raises:
        BadInput: A class has fewer than two images in one of the sets.
    """
    real, fake, real_labels, fake_labels = map(np.asarray, (real, fake, real_labels, fake_labels))
    values = []
    for label in np.unique(real_labels):
        pair = real[real_labels == label], fake[fake_labels == label]
        if min(map(len, pair)) < 2:
            raise BadInput(
                f"Class {label} has {len(pair[0])} real and {len(pair[1])} generated images; "
                "its distance needs at least two of each."
            )
        values.append(fid(*pair, ddof=ddof))
    return float(np.mean(values))
