"""Previews of what is no picture: sound and moving pictures, and vectors as points.

A model's `preview` returns a `Sound` or `Video`, or pictures, or a text; see `BaseModel.preview`.
These two have `save(stem)`: it writes <stem>.png, a picture of the whole, and what can be played
beside it. `log(tag)` writes what can be played to TensorBoard.
"""

import dataclasses
import io
import pathlib

import numpy as np
import tensorflow as tf
from scipy.io import wavfile
from tensorboard.plugins.image import metadata

from tfgans import images

DECIBELS = 80.0  # from the loudest point of a spectrogram, white, to black
WIDEST = 2000  # columns of a spectrogram, at most; of more, every second or third is shown
STRIP = 8  # pictures of a clip in a strip, at most
PLOT, DOT = 256, 2  # side of a plot of points, and radius of a point, in pixels
INKS = ((60, 110, 200), (230, 130, 40), (60, 160, 80), (170, 70, 160), (90, 90, 90))


@dataclasses.dataclass
class Sound:
    """Waves, [n, T] in [-1, 1].

    Args:
        waves: [n, T], array or tensor. Values outside are clipped.
        rate: Samples per second.
        names: A word for each wave; their numbers without it.
    """

    waves: np.ndarray
    rate: int = 16_000
    names: tuple = ()

    def __array__(self, dtype=None, copy=None):
        return np.clip(np.asarray(self.waves, "float32"), -1.0, 1.0)

    def named(self):
        return dict(zip(self.names or range(len(self.waves)), np.asarray(self), strict=True))

    def save(self, stem) -> list:
        """Writes <stem>-<name>.wav as 16 bits, and their spectrograms below each other.

        Returns:
            The files.
        """
        written = []
        for name, wave in self.named().items():
            written.append(pathlib.Path(f"{stem}-{name}.wav"))
            wavfile.write(written[-1], self.rate, np.rint(wave * 32767).astype("int16"))
        picture = pathlib.Path(f"{stem}.png")
        images.save_grid(spectrograms(np.asarray(self), self.rate), picture, columns=1)
        return [*written, picture]

    def log(self, tag):
        """Writes the waves to the default writer of summaries, under `tag`/NAME."""
        for name, wave in self.named().items():
            tf.summary.audio(f"{tag}/{name}", wave[np.newaxis, :, np.newaxis], self.rate)


def spectrograms(waves, rate) -> np.ndarray:
    """Waves [n, T] -> pictures [n, H, W, 1] in [-1, 1]: high tones above, loud ones white."""
    from scipy import signal  # takes half a second to import

    window = min(512, waves.shape[1])
    _, _, power = signal.spectrogram(waves, rate, nperseg=window, noverlap=3 * window // 4, axis=1)
    loudness = 10.0 * np.log10(power + 1e-12)  # [n, H, W]
    loudness = loudness[:, :, :: -(-loudness.shape[2] // WIDEST)]
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

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.clips, "float32")

    def film(self) -> list:
        """The frames, with all clips beside each other, as RGB pictures of PIL."""
        clips = np.asarray(self)
        return images.pictures(np.stack([images.grid(clips[:, t]) for t in range(clips.shape[1])]))

    def save(self, stem) -> list:
        """Writes <stem>.gif, all clips beside each other, and a strip of frames of each.

        Returns:
            The files.
        """
        files = [pathlib.Path(f"{stem}{ending}") for ending in (".gif", ".png")]
        images.write_gif(self.film(), files[0], self.rate)
        clips = np.asarray(self)
        length = clips.shape[1]
        chosen = np.linspace(0, length - 1, min(length, STRIP)).round().astype(int)
        images.save_grid(clips[:, chosen], files[1])
        return files

    def log(self, tag):
        """Writes the animation to the default writer of summaries, by the name `tag`."""
        file, film = io.BytesIO(), self.film()
        images.write_gif(film, file, self.rate)
        parts = [*(str(side).encode() for side in film[0].size), file.getvalue()]
        about = metadata.create_summary_metadata(None, None)
        tf.summary.write(tag, tf.constant(parts), metadata=about)


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
