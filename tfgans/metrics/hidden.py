"""Details that a translation hides for the way back — CycleGAN, a Master of Steganography.

Chu, Zhmoginov, Sandler, 2017, arXiv:1712.02950.

A generator can hide its input in details that nobody sees, for the other one to find it again. So
the translation is disturbed before the way back, by noise or by JPEG: a large rise of the error
means that the way back has read hidden details.
"""

import io

import numpy as np
from PIL import Image

from tfgans import images
from tfgans.errors import BadInput

NOISE = 5 / 255  # deviation, for images in [0, 1]
QUALITY = 75  # of JPEG
PART = 32  # images that are translated at once


def noise(x) -> np.ndarray:
    """Images x in [-1, 1] with noise of five gray values, the same each time."""
    return x + np.random.RandomState(0).normal(0, 2 * NOISE, x.shape).astype("float32")


def jpeg(x) -> np.ndarray:
    """Images x [N, H, W, 1 or 3] in [-1, 1], as a JPEG file of quality 75 holds them."""
    found = []
    for image in images.to_uint8(x):
        file = io.BytesIO()
        images.picture(image).save(file, "JPEG", quality=QUALITY)
        found.append(np.asarray(Image.open(file), "float32").reshape(image.shape) / 127.5 - 1)
    return np.stack(found)


DISTURBANCES = {"nothing": lambda x: x, "noise": noise, "jpeg": jpeg}


def ways_back(translation, back) -> dict:
    """The images that come back from translations: name of a disturbance -> images.

    Args:
        translation: [N, H, W, C] in [-1, 1].
        back: Such images -> images of the first domain.
    """
    return {name: back(change(translation)) for name, change in DISTURBANCES.items()}


def errors(source, returned: dict) -> dict:
    """The mean distances of `ways_back` from its first images, as a part of the range of values."""
    return {name: float(np.mean(np.abs(x - source))) / 2 for name, x in returned.items()}


def of_model(model, source, direction=None) -> tuple:
    """Measures the details that the translations of a model hide.

    Args:
        model: A `TranslationModel` with two directions, each of images alone.
        source: Images [N, H, W, C] in [-1, 1] of the domain where the direction begins.
        direction: "a_to_b" or "b_to_a"; the main one without it.

    Returns:
        `errors`; and a picture of each image, its translation, and what comes back of it:
        [N, 5, H, W, C].

    Raises:
        BadInput: The model has no way back from images alone; or JPEG cannot hold its images.
    """
    found = model.directions() if hasattr(model, "directions") else {}
    begins = {tuple(inputs) for inputs, _ in found.values()}
    if len(found) != 2 or len(begins) != 2 or any(len(keys) > 1 for keys in begins):
        raise BadInput(
            f"{type(model).__name__} has no way back: wanted is a model that translates images, "
            "and nothing else, in two directions, such as cyclegan."
        )
    if source.shape[-1] not in (1, 3):
        raise BadInput(f"JPEG holds gray or RGB images, not {source.shape[-1]} channels.")
    there = direction or next(iter(found))
    (back,) = found.keys() - {there}

    def translated(x, name):
        parts = range(0, len(x), PART)
        return np.concatenate(
            [np.asarray(model.translate(x[k : k + PART], direction=name, seed=0)) for k in parts]
        )

    translation = translated(source, there)
    returned = ways_back(translation, lambda x: translated(x, back))
    return errors(source, returned), images.table(source, translation, *returned.values())


def described(found: dict) -> str:
    """A line with `errors`."""
    return (
        f"Error of the way back (0 to 1): {found['nothing']:.3f}, after noise "
        f"{found['noise']:.3f}, after JPEG {found['jpeg']:.3f}. A large rise means hidden details."
    )
