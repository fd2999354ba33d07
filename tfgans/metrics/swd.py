"""Sliced Wasserstein distance on Laplacian pyramids — Progressive Growing of GANs.

Karras et al., ICLR 2018, arXiv:1710.10196, section 5.

The distributions of small patches of real and generated images are compared in each frequency
band: project the patches on random directions, sort, subtract. It needs no network.

`swd` is the authors' form. `tfgan_swd` is the form of tensorflow-gan, which normalizes each patch
by itself and does not multiply by 1,000; the two numbers are not comparable.

Reference: tkarras/progressive_growing_of_gans, metrics/sliced_wasserstein.py; tensorflow/gan,
sliced_wasserstein.py.
"""

import numpy as np
from scipy import ndimage

from tfgans.errors import BadInput
from tfgans.metrics.distances import pixel_sets

TAPS = np.array([1, 4, 6, 4, 1]) / 16
PATCH = 7  # pixels along each side of a patch
COARSEST = 16  # smallest side of the last level
PATCHES_PER_IMAGE = 128


def swd(real, fake, seed: int = 0) -> dict[int, float]:
    """The distance at each level, times 1,000. The paper compares 16,384 images.

    Args:
        real: Real images [N, H, W, C] in any value range, array or tensor.
        fake: Generated images [M, H, W, C].
        seed: Seed of the places of the patches and of the directions.

    Returns:
        Side of the level -> distance, from the finest to the coarsest level. The paper reports
        these and their mean.
    """
    patches = []
    for number, images in enumerate(pixel_sets(real, fake)):
        random = np.random.default_rng([seed, number])
        patches.append(patches_of_levels(images, PATCHES_PER_IMAGE, random))
    return swd_of_patches(*patches, seed)


def swd_of_patches(real: dict, fake: dict, seed: int = 0) -> dict[int, float]:
    """`swd` from the patches that `patches_of_levels` gives, joined over batches."""
    random, distances = np.random.default_rng([seed, 2]), {}
    for side in real:
        a, b = (normalize_set(patches[side]) for patches in (real, fake))
        repeats = []
        for _ in range(4):
            directions = random.standard_normal([a.shape[1], 128]).astype(a.dtype)
            repeats.append(sliced_distance(a, b, directions))
        distances[side] = 1000 * float(np.mean(repeats))
    return distances


def laplacian_pyramid(images) -> dict[int, np.ndarray]:
    """The Laplacian pyramid of images.

    Args:
        images: [N, H, W, C], array or tensor; each side is a number from 16 to 31 times a power of
            two.

    Returns:
        Shorter side of the level -> float64 array, finest first: level - enlarge(reduced level),
        and the coarsest level as it is.
    """
    image, levels = np.asarray(images, "float64"), {}
    if min(image.shape[1:3]) < COARSEST:
        raise BadInput(
            "The sliced Wasserstein distance needs images of at least 16 x 16 pixels, not "
            f"{image.shape[1]} x {image.shape[2]}."
        )
    while min(image.shape[1:3]) >= 2 * COARSEST:
        if image.shape[1] % 2 or image.shape[2] % 2:
            raise BadInput(
                "The sliced Wasserstein distance halves images until a side is below 32 pixels; "
                f"{image.shape[1]} x {image.shape[2]} cannot be halved."
            )
        small = blur(image)[:, ::2, ::2]
        levels[min(image.shape[1:3])] = image - enlarge(small)
        image = small
    return levels | {min(image.shape[1:3]): image}


def enlarge(image):
    """Doubles the sides: inserts zeros, then filters with 4 times the same filter."""
    n, height, width, channels = image.shape
    spread = np.zeros([n, 2 * height, 2 * width, channels])
    spread[:, ::2, ::2] = image
    return 4 * blur(spread)


def blur(image):
    """Filters with outer(TAPS, TAPS); borders are mirrored without repeating the edge."""
    rows = ndimage.correlate1d(image, TAPS, axis=1, mode="mirror")
    return ndimage.correlate1d(rows, TAPS, axis=2, mode="mirror")


def patches_of_levels(images, per_image: int, random) -> dict[int, np.ndarray]:
    """Side of the level -> random patches of the level, float32 [N * per_image, 7, 7, C]."""
    found, half = {}, PATCH // 2
    for side, level in laplacian_pyramid(images).items():
        n, height, width, _ = level.shape
        y = random.integers(half, height - half, n * per_image)
        x = random.integers(half, width - half, n * per_image)
        found[side] = cut_patches(level, y, x).astype("float32")
    return found


def cut_patches(level, y, x):
    """The patches centered at rows y and columns x, the same number from each image, in order."""
    number = np.repeat(np.arange(len(level)), len(y) // len(level))
    offsets = np.arange(PATCH) - PATCH // 2
    rows, columns = y[:, None] + offsets, x[:, None] + offsets
    return level[number[:, None, None], rows[:, :, None], columns[:, None, :]]


def normalize_set(patches):
    """Normalizes each channel to mean 0 and deviation 1 over all patches; flattens the patches."""
    mean = patches.mean(axis=(0, 1, 2), dtype="float64")
    deviation = patches.std(axis=(0, 1, 2), dtype="float64")
    normal = (patches - mean.astype("float32")) / np.where(deviation > 0, deviation, 1).astype(
        "float32"
    )
    return normal.reshape(len(patches), -1)


def sliced_distance(a, b, directions) -> float:
    """Mean difference of sorted projections; a and b are [N, d], directions [d, n]."""
    if len(a) != len(b):
        raise BadInput(f"Wanted the same number of patches, not {len(a)} and {len(b)}.")
    directions = directions / np.linalg.norm(directions, axis=0)
    a, b = (np.sort(x @ directions, axis=0) for x in (a, b))
    return float(np.abs(a - b).mean(dtype="float64"))


def tfgan_swd(real, fake, patches_per_image=64, directions=147, seed=0) -> list[tuple]:
    """tensorflow-gan's `sliced_wasserstein_distance`.

    Args:
        real: Real images [N, H, W, C], array or tensor.
        fake: Generated images [N, H, W, C].
        patches_per_image: Number of patches from each image at each level.
        directions: Number of directions to project on.
        seed: Seed of the places and directions.

    Returns:
        A pair for each level, from the finest to the coarsest: the distance between two sets of
        patches of the real images, and the distance between real and generated images.
    """
    random, distances = np.random.default_rng(seed), []
    real, fake = pixel_sets(real, fake)
    sets = [patches_of_levels(x, patches_per_image, random) for x in (real, real, fake)]
    for side in sets[0]:
        a, again, b = (normalize_each(patches[side]) for patches in sets)
        pair = [random.standard_normal([a.shape[1], directions]) for _ in range(2)]
        distances.append((sliced_distance(a, again, pair[0]), sliced_distance(a, b, pair[1])))
    return distances


def normalize_each(patches):
    """Normalizes each patch to mean 0 and deviation 1 over pixels and channels; flattens it."""
    flat = patches.reshape(len(patches), -1).astype("float64")
    deviation = flat.std(axis=1, keepdims=True)
    return (flat - flat.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)
