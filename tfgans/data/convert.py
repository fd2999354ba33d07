"""Converts stored images to the size, channels and values in [-1, 1] of a model."""

import numpy as np
from PIL import Image

from tfgans.data.source import DataError

LUMA = np.array([[0.299], [0.587], [0.114]], "float32")  # ITU-R 601, as in Pillow


def prepare(image: np.ndarray, value_range: tuple, image_shape: tuple) -> np.ndarray:
    """Converts a stored image for a model: `crop_resize`, then `to_float`.

    Args:
        image: [h, w, c], any number type.
        value_range: (lowest, highest): the stored values that become -1 and 1.
        image_shape: (height, width, channels) of the result.

    Returns:
        float32 [height, width, channels] in [-1, 1].
    """
    height, width, channels = image_shape
    return to_float(crop_resize(image, height, width), value_range, channels)


def aligned(shape: tuple) -> np.ndarray:
    """Returns np.empty, float32, at an address that is a multiple of 64 bytes.

    TensorFlow copies arrays at other addresses, and blocks all Python threads meanwhile.
    """
    count = int(np.prod(shape))
    buffer = np.empty(count + 16, "float32")
    start = -buffer.ctypes.data % 64 // 4
    return buffer[start : start + count].reshape(shape)


def crop_resize(
    image: np.ndarray, height: int, width: int, method=Image.Resampling.LANCZOS
) -> np.ndarray:
    """Crops the center of an image to the aspect ratio of (height, width) and resizes it.

    The filter is Lanczos, widened for smaller sizes to prevent aliasing. The last of two or four
    channels in 8 bits is alpha: it weights the colors.

    Args:
        image: [h, w, channels], any number type.
        height: Height of the result.
        width: Width of the result.
        method: Another filter of Pillow.

    Returns:
        [height, width, channels] of the same type; the image itself if it already has that size.
    """
    h, w, channels = image.shape
    if (h, w) == (height, width):
        return image
    image = image[center(h, w, height, width)]
    if image.dtype == np.uint8 and channels <= 4:
        picture = Image.fromarray(image if channels > 1 else image[..., 0])
        resized = np.asarray(picture.resize((width, height), method))
        return resized.reshape(height, width, channels)
    planes = [
        Image.fromarray(image[..., c].astype("float32")).resize((width, height), method)
        for c in range(channels)
    ]
    resized = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    resized = np.clip(resized, image.min(), image.max())  # Lanczos overshoots at edges
    if image.dtype.kind in "iu":
        resized = np.rint(resized)
    return resized.astype(image.dtype)


def center(h: int, w: int, height: int, width: int) -> tuple:
    """The slices of rows and columns of the center of h x w that has the form of height x width."""
    crop_h = max(1, min(h, round(w * height / width)))
    crop_w = max(1, min(w, round(h * width / height)))
    top, left = (h - crop_h) // 2, (w - crop_w) // 2
    return slice(top, top + crop_h), slice(left, left + crop_w)


def to_float(images: np.ndarray, value_range: tuple, channels: int) -> np.ndarray:
    """Converts stored values to float32 in [-1, 1], and to the given number of channels.

    1 channel is gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. Gray becomes RGB by repetition,
    RGB becomes gray by its luma, a missing alpha is opaque, and an alpha that the model lacks is
    composited on white. Other numbers of channels cannot be converted.

    Args:
        images: [..., height, width, c], any number type.
        value_range: (lowest, highest): the stored values that become -1 and 1.

    Returns:
        A new array, float32 [..., height, width, channels].
    """
    low, high = value_range
    images = np.subtract(images, low, dtype="float32")
    images /= (high - low) / 2
    images -= 1
    return to_channels(images, channels)


def to_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Changes the number of channels of images in [-1, 1] (see `to_float`)."""
    have = images.shape[-1]
    if have == channels:
        return images
    if not (1 <= have <= 4 and 1 <= channels <= 4):
        raise DataError(
            f"The images have {have} channels and the model wants {channels}: "
            "only numbers from 1 to 4 can be converted into each other.",
            f"Set the last number of model.image_shape to {have}, or use other images "
            "(arrays are [n, height, width, channels]).",
        )
    wants_alpha = channels in (2, 4)
    colors, alpha = images, None
    if have in (2, 4):
        colors, alpha = images[..., :-1], images[..., -1:]
    if alpha is not None and not wants_alpha:
        opacity = (alpha + 1) / 2
        colors = colors * opacity + (1 - opacity)  # white is 1
    if colors.shape[-1] == 3 and channels < 3:
        colors = np.clip(colors @ LUMA, -1, 1)
    if colors.shape[-1] == 1 and channels > 2:
        colors = np.repeat(colors, 3, axis=-1)
    if not wants_alpha:
        return colors
    if alpha is None:
        alpha = np.ones_like(colors[..., :1])
    return np.concatenate([colors, alpha], axis=-1)


def mirrored(images: np.ndarray) -> np.ndarray:
    """Mirrors [..., h, w, c] left to right; faster than a copy of a reversed view."""
    result = np.empty_like(images)
    for channel in range(images.shape[-1]):
        result[..., channel] = images[..., ::-1, channel]
    return result


def cut(image: np.ndarray, height: int, width: int, draws, flip: bool) -> np.ndarray:
    """Crops a random window of an image, and mirrors it with probability 1/2: random jitter.

    Args:
        image: [h, w, c], at least as large as the window.
        height: Height of the window in pixels.
        width: Width of the window in pixels.
        draws: Three numbers in [0, 1): vertical position, horizontal position; mirror if < 0.5.
        flip: If false, the image is never mirrored.
    """
    down, right, mirror = draws
    top, left = int(down * (image.shape[0] - height + 1)), int(right * (image.shape[1] - width + 1))
    image = image[top : top + height, left : left + width]
    return mirrored(image) if flip and mirror < 0.5 else image
