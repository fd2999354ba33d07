"""Previews of what is no picture: sound and moving pictures, and vectors as points.

A model's `preview` returns a `Sound` or `Video`, or pictures, or a text; see `BaseModel.preview`.
These two have `save(stem)`: it writes <stem>.png, a picture of the whole, and what can be played
beside it.
"""

import dataclasses

import numpy as np
from scipy import signal
from scipy.io import wavfile

from tfgans import images

DECIBELS = 80.0  # from the loudest point of a spectrogram, white, to black
STRIP = 8  # pictures of a clip in a strip, at most
PLOT, DOT = 256, 2  # side of a plot of points, and radius of a point, in pixels
INKS = ((60, 110, 200), (230, 130, 40), (60, 160, 80), (170, 70, 160), (90, 90, 90))


@dataclasses.dataclass
class Sound:
    """Waves, [n, T] in [-1, 1].

    Args:
        waves: [n, T], array or tensor. Values outside are clipped.
        rate: Samples per second.
    """

    waves: np.ndarray
    rate: int = 16_000

    def save(self, stem):
        """Writes <stem>-0.wav ... as 16 bits, and their spectrograms below each other."""
        waves = np.clip(np.asarray(self.waves, "float32"), -1.0, 1.0)
        for k, wave in enumerate(waves):
            wavfile.write(f"{stem}-{k}.wav", self.rate, np.rint(wave * 32767).astype("int16"))
        images.save_grid(spectrograms(waves, self.rate), f"{stem}.png", columns=1)


def spectrograms(waves, rate) -> np.ndarray:
    """Waves [n, T] -> pictures [n, H, W, 1] in [-1, 1]: high tones above, loud ones white."""
    window = min(512, waves.shape[1])
    _, _, power = signal.spectrogram(waves, rate, nperseg=window, noverlap=window // 2, axis=1)
    loudness = 10.0 * np.log10(power + 1e-12)  # [n, H, W]
    loudness = 1.0 + 2.0 * (loudness - loudness.max()) / DECIBELS
    return np.clip(loudness, -1.0, 1.0)[:, ::-1, :, None]


@dataclasses.dataclass
class Video:
    """Clips of the same length, [n, T, H, W, C] in [-1, 1].

    Args:
        clips: [n, T, H, W, C], array or tensor.
        rate: Frames per second.
    """

    clips: np.ndarray
    rate: int = 24

    def save(self, stem):
        """Writes <stem>.gif, all clips beside each other, and a strip of frames of each."""
        clips = np.asarray(self.clips)
        length = clips.shape[1]
        frames = [images.grid(clips[:, t]) / 127.5 - 1.0 for t in range(length)]
        images.save_video(np.stack(frames), f"{stem}.gif", self.rate)
        chosen = np.linspace(0, length - 1, min(length, STRIP)).round().astype(int)
        images.save_grid(clips[:, chosen], f"{stem}.png")


def scatter(*groups) -> np.ndarray:
    """Vectors in their two main directions, those of all groups together: a white square of dots.

    Args:
        groups: [n, d] each. Up to five have dots of their own color: blue, orange, green, purple,
            gray. The groups take turns, so that none covers another.

    Returns:
        [1, side, side, 3] in [-1, 1].
    """
    groups = [np.asarray(group, "float64") for group in groups]
    every = np.concatenate(groups)
    center = every.mean(axis=0)
    _, _, directions = np.linalg.svd(every - center, full_matrices=False)
    greatest = np.abs((every - center) @ directions[:2].T).max() or 1.0
    sheet = np.full([PLOT, PLOT, 3], 255.0)
    half = PLOT / 2 - DOT - 1
    places = [PLOT / 2 + half / greatest * ((g - center) @ directions[:2].T) for g in groups]
    for k in range(max(map(len, groups))):
        for place, ink in zip(places, INKS, strict=False):
            for x, y in np.rint(place[k : k + 1]).astype(int):
                sheet[y - DOT : y + DOT, x - DOT : x + DOT] = ink
    return sheet[None] / 127.5 - 1.0
