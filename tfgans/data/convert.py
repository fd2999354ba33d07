"""From a stored image to what a model eats: size, channels, values in [-1, 1]."""

import numpy as np
from PIL import Image

from tfgans.data.source import DataError

LUMA = np.array([[0.299], [0.587], [0.114]], "float32")  # ITU-R 601, as Pillow


def prepare(image: np.ndarray, value_range: tuple, image_shape: tuple) -> np.ndarray:
    """Turns a stored image into the form that models see: `crop_resize`, then `to_float`.

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
    """np.empty, float32, at an address that TensorFlow takes as it is: a multiple of 64 bytes.

    Arrays at other addresses it copies, while no other thread of Python runs.
    """
    count = int(np.prod(shape))
    room = np.empty(count + 16, "float32")
    start = -room.ctypes.data % 64 // 4
    return room[start : start + count].reshape(shape)


def crop_resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cuts the middle of an image to the aspect ratio of (height, width) and resizes it.

    The filter is Lanczos, widened when shrinking, so that nothing aliases. In 8 bits, two and four
    channels mean that the last is alpha: colors are weighted by it.

    Args:
        image: [h, w, channels], any number type.

    Returns:
        [height, width, channels] of the same type; the image itself if it has that size already.
    """
    h, w, channels = image.shape
    if (h, w) == (height, width):
        return image
    crop_h = max(1, min(h, round(w * height / width)))
    crop_w = max(1, min(w, round(h * width / height)))
    top, left = (h - crop_h) // 2, (w - crop_w) // 2
    image = image[top : top + crop_h, left : left + crop_w]
    if image.dtype == np.uint8 and channels <= 4:
        picture = Image.fromarray(image if channels > 1 else image[..., 0])
        resized = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
        return resized.reshape(height, width, channels)
    planes = [
        Image.fromarray(image[..., c].astype("float32")).resize(
            (width, height), Image.Resampling.LANCZOS
        )
        for c in range(channels)
    ]
    resized = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    resized = np.clip(resized, image.min(), image.max())  # Lanczos overshoots at edges
    if image.dtype.kind in "iu":
        resized = np.rint(resized)
    return resized.astype(image.dtype)


def to_float(images: np.ndarray, value_range: tuple, channels: int) -> np.ndarray:
    """Turns stored values into float32 in [-1, 1] with the wanted number of channels.

    1 channel is grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. Grey becomes RGB by repetition,
    RGB becomes grey by its luma, a missing alpha is opaque, an unwanted alpha is composited on
    white. Other numbers of channels pass only unchanged.

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
            "only 1 to 4 channels can be converted into each other.",
            f"Set the last number of model.image_shape to {have}, or give other images "
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
    """Left and right of [..., h, w, c] exchanged; faster than a copy of a reversed view."""
    turned = np.empty_like(images)
    for channel in range(images.shape[-1]):
        turned[..., channel] = images[..., ::-1, channel]
    return turned


def cut(image: np.ndarray, height: int, width: int, draws, flip: bool) -> np.ndarray:
    """Cuts a random window out of an image and mirrors every second one: random jitter.

    Args:
        image: [h, w, c], at least as large as the window.
        height: Of the window.
        width: Of the window.
        draws: Three numbers in [0, 1): vertical place, horizontal place, whether to mirror.
        flip: Whether it may be mirrored.
    """
    down, right, mirror = draws
    top, left = int(down * (image.shape[0] - height + 1)), int(right * (image.shape[1] - width + 1))
    image = image[top : top + height, left : left + width]
    return mirrored(image) if flip and mirror < 0.5 else image
