"""Resizes images for a feature network: five published methods, by the names that reports use.

With the same weights FID differs by several points between these methods, so every result states
its method. Each takes uint8 images [N, H, W, 3] and gives float32 [N, side, side, 3] in the input
range of its network; "none" leaves the images as they are.

    tf1    the original graph: bilinear, output i lies at input i * H / side
    tf2    bilinear between centers of pixels, otherwise like tf1
    torch  pytorch-fid: bilinear between centers of pixels, no antialiasing
    tfgan  tensorflow-gan: `tf.image.resize`, the same as torch
    clean  clean-fid: bicubic with antialiasing, on floats, clipped to 0..255, never rounded

tf1, tf2 and clean give (x - 128) / 128, torch and tfgan x / 127.5 - 1, for x in 0..255.
"""

import numpy as np
import tensorflow as tf
from PIL import Image

from tfgans.errors import BadInput


def at_corners(images, side):
    """Bilinear resize of TensorFlow 1: output i lies at input i * H / side."""
    return tf.raw_ops.ResizeBilinear(images=images, size=[side, side])


def at_centers(images, side):
    """Bilinear resize by centers of pixels: output i lies at input (i + 1/2) * H / side - 1/2."""
    return tf.image.resize(images, [side, side])


def antialiased(images, side):
    """Pillow's bicubic resize of each channel in floats, clipped to 0..255."""
    planes = np.moveaxis(np.asarray(images, "float32"), 3, 1)  # [N, C, H, W]
    resized = [
        np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BICUBIC))
        for plane in planes.reshape(-1, *planes.shape[2:])
    ]
    resized = np.clip(resized, 0.0, 255.0).reshape(*planes.shape[:2], side, side)
    return np.moveaxis(resized, 1, 3)


def centered(x):
    return (tf.cast(x, "float32") - 128.0) / 128.0


def symmetric(x):
    return tf.cast(x, "float32") / 127.5 - 1.0


RESIZES = {
    "tf1": lambda images, side: centered(at_corners(images, side)),
    "tf2": lambda images, side: centered(at_centers(images, side)),
    "torch": lambda images, side: symmetric(at_centers(images, side)),
    "tfgan": lambda images, side: symmetric(at_centers(images, side)),
    "clean": lambda images, side: centered(antialiased(images, side)),
    "none": lambda images, side: images,
}


def rgb(images) -> np.ndarray:
    """Converts uint8 images [N, H, W, C] to RGB: repeats gray, drops alpha.

    Raises:
        BadInput: The images are not uint8, or do not have 1, 3 or 4 channels.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3, 4):
        raise BadInput(
            "Feature networks take uint8 images [N, H, W, C] with 1, 3 or 4 channels, not "
            f"{images.dtype} of shape {list(images.shape)}. "
            "tfgans.images.to_uint8 converts images in [-1, 1]."
        )
    return np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images[..., :3]
