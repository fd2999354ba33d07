"""Closed walks through latent space: the latents of each frame."""

import numpy as np
import scipy.ndimage

from tfgans.errors import BadInput


def lerp(a, b, t):
    """The straight line from a to b, t in [0, 1]."""
    return (1 - t) * a + t * b


def slerp(a, b, t):
    """Goes from a to b on a great circle: t in [0, 1], a and b [..., d].

    High-dimensional Gaussian vectors all have about the same length; a straight line between two of
    them would leave that shell (White, Sampling Generative Networks, arXiv:1609.04468). The angle
    is that of the directions. Parallel vectors have a straight line between them.

    Raises:
        BadInput: Opposite vectors, between which there is no one circle.
    """
    lengths = np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    angle = np.arccos(np.clip(np.sum(a * b, -1, keepdims=True) / lengths, -1.0, 1.0))
    if np.any(np.pi - angle < 1e-6):
        raise BadInput("Opposite vectors have no shortest circle between them: take other seeds.")
    parallel = angle < 1e-6
    angle = np.where(parallel, 1.0, angle)
    of_a, of_b = np.sin((1 - t) * angle) / np.sin(angle), np.sin(t * angle) / np.sin(angle)
    return np.where(parallel, lerp(a, b, t), of_a * a + of_b * b)


def loop(stops, frames, between):
    """From each stop to the next, and from the last to the first.

    Args:
        stops: [n, ...].
        frames: Frames from one stop to the next.
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
    """White noise smoothed over time: an even walk without stops, as in ProGAN's videos.

    Args:
        frames: Length; the last frame is followed by the first.
        shape: Of the latents of one frame.
        smoothing: Deviation of the Gaussian window in frames.
        seed: Of the noise.

    Returns:
        [frames, *shape] of mean square 1 over all of it.
    """
    noise = np.random.RandomState(seed).randn(frames, *shape)
    smooth = scipy.ndimage.gaussian_filter1d(noise, smoothing, axis=0, mode="wrap")
    return (smooth / np.sqrt(np.mean(smooth**2))).astype("float32")


def walk(space, seeds, frames, kind="z", truncation=None, smoothing=24):
    """Latents of a closed walk.

    Args:
        space: A `Space`.
        seeds: The stops, at least 2; "smooth" takes the first as its seed.
        frames: Frames from one stop to the next.
        kind: "z": great circles between the z (straight lines where z is not Gaussian), while label
            vectors go straight; "w": straight lines between the w; "smooth": `smooth_loop` in z.
        truncation: psi.
        smoothing: Of "smooth".

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
