"""Measures of predicted frames, as Mathieu et al. define them (ICLR 2016, arXiv:1511.05440).

Frames are in [-1, 1]; the measures count in 8 bits.
"""

import numpy as np

BITS = 255.0**2 / 128.0**2  # square of the greatest value over that of one unit, both in 8 bits
FLOOR = 1e-4 / 128.0**2  # of a mean, so that perfect frames have a measure
STILL = 0.05  # change of a pixel from frame to frame that counts as none
EASY = 50.0  # decibels from which a film is left out


def psnr(made, true, moving=None):
    """Peak signal-to-noise ratio of frames, sec. 4.2, in decibels, [N].

    Args:
        made: [N, H, W, C] in [-1, 1].
        true: The same.
        moving: [N, H, W] of bool: pixels that count. The others are black in both, and stay in the
            mean.
    """
    error = np.square(np.asarray(made, "float64") - true)
    if moving is not None:
        error = error * moving[..., None]
    return 10.0 * np.log10(BITS / np.maximum(error.mean(axis=(1, 2, 3)), FLOOR))


def sharpness(made, true, moving=None):
    """Sharpness of frames, sec. 4.2, in decibels, [N]: by the difference of their gradients.

    Args:
        made: Predicted frames [N, H, W, C] in [-1, 1].
        true: The true ones, of the same shape.
        moving: bool [N, H, W]: pixels to look at, see `moving_pixels`; the others become -1 in
            both. None: all pixels.
    """
    made, true = np.asarray(made, "float64"), np.asarray(true, "float64")
    if moving is not None:
        made, true = (np.where(moving[..., None], frame, -1.0) for frame in (made, true))
    found = 0.0
    for axis in (1, 2):
        slopes = [
            np.abs(np.diff(frame, axis=axis))[:, : made.shape[1] - 1] for frame in (made, true)
        ]
        difference = np.abs(slopes[0] - slopes[1])[:, :, : made.shape[2] - 1]
        found = found + difference.mean(axis=(1, 2, 3))
    return 10.0 * np.log10(BITS / np.maximum(found, FLOOR))


def moving_pixels(last, true):
    """Pixels that change from the last given frame to the true next one, [N, H, W] of bool."""
    return np.abs(np.asarray(true) - last).max(axis=-1) > STILL
