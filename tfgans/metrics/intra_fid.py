"""Intra-FID — cGANs with Projection Discriminator.

Miyato and Koyama, ICLR 2018, arXiv:1802.05637, section 4: the mean over classes of the FID between
the generated and the real images of the class. Unlike the FID of all images, it detects a generator
that confuses its labels. Published values use 5,000 generated images per class.
"""

import numpy as np

from tfgans.errors import BadInput
from tfgans.metrics.fid import fid


def intra_fid(real, real_labels, fake, fake_labels, ddof: int = 1) -> float:
    """The mean distance over the classes of the real images.

    Args:
        real: Features of real images [N, d], array or tensor.
        real_labels: Class numbers [N].
        fake: Features of generated images [M, d].
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
                "FID needs at least two of each."
            )
        values.append(fid(*pair, ddof=ddof))
    return float(np.mean(values))
