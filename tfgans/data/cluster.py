"""`cluster`: writes a set of images with the number of its cluster as the label of each image.

With it a model with classes trains on images that have none (Lucic et al., 2019, arXiv:1903.02271,
section 3.1).
"""

import numpy as np
from scipy.cluster.vq import kmeans2

from tfgans.data.images import common_shape, prepared
from tfgans.data.opening import open_images
from tfgans.data.pack import pack
from tfgans.data.source import DataError
from tfgans.images import to_uint8

BATCH = 64


def cluster(path, out, extractor, clusters=50, size=None, value_range=None, seed=0) -> np.ndarray:
    """Writes a set of images as TFRecords with new labels, see `pack`.

    Args:
        path: A set of images, see `open_images`. Labels of its own are not used.
        out: A folder that does not exist yet.
        extractor: Feature network, a `tfgans.features.Extractor`.
        clusters: Number of clusters of its features, by k-means.
        size: (height, width) to crop and resize to; needed where the images differ in size.
        value_range: (lowest, highest) pixel value; needed for arrays of floats only.
        seed: Seed of the first centers.

    Returns:
        The share of the images in each cluster, [clusters].

    Raises:
        DataError: `out` exists, the images cannot be used, or there are fewer than clusters.
    """
    source = open_images(path, value_range)
    shape = (*size, source.largest[2]) if size else common_shape(source)
    found, rows, waiting = [], [], []
    for i, image in prepared(source, shape):
        rows.append(i)
        waiting.append(to_uint8(image))
        if len(waiting) == BATCH:
            found.append(extractor(np.stack(waiting)))
            waiting = []
    if waiting:
        found.append(extractor(np.stack(waiting)))
    features = np.concatenate(found)
    if len(features) < clusters:
        raise DataError(
            f"{len(features)} images of {path} cannot make {clusters} clusters.",
            "Ask for fewer: --clusters.",
        )
    _, numbers = kmeans2(features.astype("float64"), clusters, minit="++", seed=seed)
    labels = np.zeros(len(source), "int64")  # broken images are not written
    labels[rows] = numbers
    pack(path, out, size, value_range=value_range, labels=labels)
    return np.bincount(numbers, minlength=clusters) / len(numbers)
