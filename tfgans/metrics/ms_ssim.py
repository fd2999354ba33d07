"""Multi-scale structural similarity (MS-SSIM), and the diversity of a set measured with it.

Wang et al., Asilomar 2003. Odena et al., ICML 2017, arXiv:1610.09585, section 4.2, and ProGAN
compare pairs of generated images: the higher the mean similarity, the less diverse they are. The
number is meaningful only beside the same number for real images.

Reference: tkarras/progressive_growing_of_gans, metrics/ms_ssim.py.
"""

import numpy as np
from scipy import ndimage

from tfgans.errors import BadInput
from tfgans.metrics.distances import pixel_sets

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # exponents of the scales, finest first
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
WINDOW, SIGMA = 11, 1.5


def ms_ssim(images_a, images_b) -> np.ndarray:
    """The similarity of each pair of images, [N] in [0, 1].

    At scales smaller than the window of 11 pixels, the window and its sigma shrink to the scale.

    Args:
        images_a: Images [N, H, W, C] with values in 0..255, array or tensor.
        images_b: The images they are compared with, of the same shape.

    Raises:
        BadInput: The shapes differ; or the images are floats in [-1, 1]: both sets together, or one
            with negative pixels.
    """
    a, b = pixel_sets(images_a, images_b)
    if len(a) != len(b):
        raise BadInput(f"Wanted pairs of images, not {len(a)} and {len(b)}.")
    floats = [x for x, given in zip((a, b), (images_a, images_b), strict=True) if is_float(given)]
    highest = max(a.max(), b.max())  # one side alone may be black
    if any(x.max() <= 1 and (highest <= 1 or x.min() < 0) for x in floats):
        raise BadInput(
            "MS-SSIM takes images in 0..255, and these are in [-1, 1]: tfgans.images.to_uint8 "
            "converts them."
        )
    result = 1.0
    for scale, weight in enumerate(WEIGHTS):
        ssim, structure = compare(a, b)
        value = ssim if scale == len(WEIGHTS) - 1 else structure
        result = result * np.maximum(value, 0) ** weight
        a, b = halve(a), halve(b)
    return result


def is_float(images):
    return np.asarray(images).dtype.kind == "f"


def compare(a, b):
    """SSIM and its contrast-structure part for each pair, means over positions: [N], [N]."""
    mean_a, mean_b = window(a), window(b)
    variances = window(a * a) - mean_a**2 + window(b * b) - mean_b**2
    covariance = window(a * b) - mean_a * mean_b
    structure = (2 * covariance + C2) / (variances + C2)
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return (luminance * structure).mean(axis=(1, 2, 3)), structure.mean(axis=(1, 2, 3))


def window(x):
    """Means weighted by a Gaussian window, at all positions where it fits inside the image."""
    size = min(WINDOW, *x.shape[1:3])
    places = np.arange(size) - (size - 1) / 2
    taps = np.exp(-np.square(places) / (2 * (SIGMA * size / WINDOW) ** 2))
    taps /= taps.sum()
    for axis in (1, 2):
        x = ndimage.correlate1d(x, taps, axis=axis)
        first = size // 2  # the window of output i begins at input i - size // 2
        x = x.take(range(first, first + x.shape[axis] - size + 1), axis=axis)
    return x


def halve(x):
    """Means of 2 x 2 pixels; an odd last row or column counts twice."""
    odd = [(0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)]
    x = np.pad(x, odd, mode="edge")
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def ms_ssim_diversity(images) -> float:
    """Mean similarity of pairs of neighboring images; published values use 10,000 pairs.

    Args:
        images: [2N, H, W, C] in 0..255. Both images of a pair should have the same class.
    """
    if len(images) < 2 or len(images) % 2:
        raise BadInput(f"Wanted pairs of neighboring images, an even number, not {len(images)}.")
    return float(ms_ssim(images[::2], images[1::2]).mean())
