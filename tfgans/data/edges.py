"""Images with smoothed edges, which CartoonGAN's discriminator learns to tell from drawn ones.

Edges are those of Canny (IEEE PAMI 1986) in the form of OpenCV: Sobel's slopes, their size
|dx| + |dy|, thinned along the slope, with two thresholds. All pixels within two of an edge are
blurred, as in the public script edge_smooth.py of taki0112/CartoonGAN-Tensorflow.
"""

import numpy as np
from scipy import ndimage

from tfgans.data.convert import to_channels

LOW, HIGH = 100, 200  # thresholds of Canny, for slopes of gray values in 0..255
TAPS = np.array([1, 4, 6, 4, 1], "float32") / 16  # OpenCV's Gaussian of five pixels
REACH = 2  # pixels on each side of an edge that are blurred
TAN = np.sqrt(2) - 1  # of 22.5 degrees


def canny(gray) -> np.ndarray:
    """The edges of a gray image.

    Args:
        gray: [H, W] in 0..255.

    Returns:
        Boolean [H, W]: pixels of edges, which are one or two pixels wide.
    """
    gray = np.asarray(gray, "float64")
    down, right = (ndimage.sobel(gray, axis, mode="nearest") for axis in (0, 1))
    size = np.abs(down) + np.abs(right)
    near = np.pad(size, 1)  # no slope beyond the border

    def at(y, x):
        return near[1 + y : near.shape[0] - 1 + y, 1 + x : near.shape[1] - 1 + x]

    flat, steep = np.abs(down) < TAN * np.abs(right), np.abs(down) > np.abs(right) / TAN
    same = down * right >= 0  # the slope points along the main diagonal, or against it
    ridge = np.select(
        [flat, steep, same],
        [
            (size > at(0, -1)) & (size >= at(0, 1)),
            (size > at(-1, 0)) & (size >= at(1, 0)),
            (size > at(-1, -1)) & (size > at(1, 1)),
        ],
        (size > at(-1, 1)) & (size > at(1, -1)),
    )
    weak = ridge & (size > LOW)
    lines, count = ndimage.label(weak, np.ones([3, 3]))
    strong = np.zeros(count + 1, bool)
    strong[lines[weak & (size > HIGH)]] = True
    return strong[lines]


def smoothed(image) -> np.ndarray:
    """An image whose edges are blurred; all other pixels stay as they are.

    Args:
        image: float32 [H, W, C] in [-1, 1].

    Returns:
        Likewise.
    """
    gray = np.rint((to_channels(image, 1)[..., 0] + 1) * 127.5)
    side = 2 * REACH + 1
    near = ndimage.binary_dilation(canny(gray), np.ones([side, side]))
    blurred = image
    for axis in (0, 1):
        blurred = ndimage.correlate1d(blurred, TAPS, axis, mode="mirror")
    return np.where(near[..., None], blurred, image)
