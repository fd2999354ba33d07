"""Closed walks through latent space, one set of latents per frame."""

import numpy as np
import scipy.ndimage

from tfgans.errors import BadInput


def lerp(a, b, t):
    """Linear interpolation from a to b, t in [0, 1].

    Args:
        a, b: Arrays of one shape.
        t: Number, or array that broadcasts with them.
    """
    return (1 - t) * a + t * b


def slerp(a, b, t):
    """Spherical interpolation from a to b, [..., d], t in [0, 1].

    High-dimensional Gaussian vectors all have about the same length; a straight line between two of
    them would leave that shell (White, Sampling Generative Networks, arXiv:1609.04468). The angle
    is that between the directions. Parallel vectors are interpolated linearly.

    Args:
        a, b: Arrays [..., d].
        t: Number, or array that broadcasts with them.

    Raises:
        BadInput: The vectors are opposite, so no unique great circle joins them.
    """
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")  # small angles need the digits
    lengths = np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    angle = np.arccos(np.clip(np.sum(a * b, -1, keepdims=True) / lengths, -1.0, 1.0))
    if np.any(np.pi - angle < 1e-6):
        raise BadInput("No unique great circle joins opposite vectors: take other seeds.")
    parallel = angle < 1e-6
    angle = np.where(parallel, 1.0, angle)
    of_a, of_b = np.sin((1 - t) * angle) / np.sin(angle), np.sin(t * angle) / np.sin(angle)
    return np.where(parallel, lerp(a, b, t), of_a * a + of_b * b)


def loop(stops, frames, between):
    """Interpolates from each stop to the next, and from the last to the first.

    Args:
        stops: Latents [n, ...].
        frames: Number of frames from one stop to the next.
        between: `slerp` or `lerp`.

    Returns:
        [n * frames, ...]; frame k * frames is stop k.
    """
    following = np.roll(stops, -1, axis=0)
    steps = np.arange(frames) / frames
    return np.array(
        [between(a, b, t) for a, b in zip(stops, following, strict=True) for t in steps]
    )


def smooth_loop(frames, shape, smoothing, seed):
    """Smooths white noise over time: an even walk without stops, as in ProGAN's videos.

    Args:
        frames: Length of the walk; the first frame follows the last.
        shape: Shape of the latents of one frame.
        smoothing: Standard deviation of the Gaussian window, in frames.
        seed: Seed of the noise.

    Returns:
        [frames, *shape]; the mean square over all numbers is 1.
    """
    noise = np.random.RandomState(seed).randn(frames, *shape)
    smooth = scipy.ndimage.gaussian_filter1d(noise, smoothing, axis=0, mode="wrap")
    return (smooth / np.sqrt(np.mean(smooth**2))).astype("float32")


def walk(space, seeds, frames, kind="z", truncation=None, smoothing=24):
    """Latents of a closed walk.

    Args:
        space: A `Space`.
        seeds: Seeds of the stops, at least 2; the first is the seed of "smooth".
        frames: Number of frames from one stop to the next.
        kind: "z": great circles between the z (straight lines if z is not Gaussian), straight lines
            between the label vectors; "w": straight lines between the w; "smooth": `smooth_loop`
            in z.
        truncation: psi.
        smoothing: Standard deviation of the window of "smooth", in frames; ProGAN's is a second.

    Returns:
        ws [len(seeds) * frames, num_ws, D].
    """
    if kind == "w":
        return loop(space.of_seeds(seeds, truncation).numpy(), frames, lerp)
    z, label = space.z(seeds), space.labels(seeds)
    if kind == "smooth":
        if not space.gaussian:
            raise BadInput(f"The z of {type(space.model).__name__} is not Gaussian: walk in z.")
        z = smooth_loop(len(seeds) * frames, z.shape[1:], smoothing, seeds[0])
    else:
        z = loop(z, frames, slerp if space.gaussian else lerp).astype("float32")
    label = None if label is None else loop(label, frames, lerp).astype("float32")
    return space.ws(z, label, truncation).numpy()
