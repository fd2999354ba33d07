"""Films: the frames of a GIF, an MP4 or a folder as images, and written again as the same kind.

The temporal error of a translated film says how much more it changes from one frame to the next
than the film that was given:

    mean |out_t - out_(t-1)| - mean |in_t - in_(t-1)|

over all pixels, channels and pairs of frames, in steps of 255. Motion changes both films; what is
left is what the translation adds by itself, which is seen as flicker. It is below 0 where the
output is smoother than the input. No motion is estimated: a translation that moves its own texture
across resting objects and rests on moving ones can have an error of 0.
"""

import functools
import pathlib
import re

import numpy as np
from PIL import Image

from tfgans import images
from tfgans.data.endings import ends
from tfgans.data.files import FolderImages, names_to_write
from tfgans.data.source import BrokenImage, DataError, Images
from tfgans.errors import BadInput

MOVING = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")  # ffmpeg reads them, and others


def is_film(path: pathlib.Path) -> bool:
    """True for a file of moving pictures. A folder may be a film too, or a set of images."""
    if ends(path, ".gif"):
        try:
            with Image.open(path, formats=("GIF",)) as file:
                return file.n_frames > 1
        except Exception:  # it is no animation that can be read; as an image it has its error
            return False
    return ends(path, MOVING)


def open_film(path: pathlib.Path, count: int | None = None) -> Images:
    """Opens a film.

    Args:
        path: A GIF of several frames, an MP4, or a folder with an image for each frame. These are
            taken in the order of the numbers in their names: 9.png before 10.png.
        count: Number of its frames where it is known: ffmpeg takes a while to count them.

    Returns:
        Its frames as `Images`, with `save(frames, folder)`: it writes translated frames, uint8
        [H, W, C] by index, as the same kind, and returns the path.

    Raises:
        BadInput: It is no film; or it needs ffmpeg, which is not there.
    """
    if path.is_dir():
        return FolderFilm(path, every=True)
    if not is_film(path):
        raise BadInput(
            f"{path} is one image. A film is a folder with an image for each frame, a GIF with "
            "several frames, or an MP4."
        )
    return GIF(path) if ends(path, ".gif") else MP4(path, count)


class FolderFilm(FolderImages):
    """A folder of frames, in the order of the numbers in their names."""

    def __init__(self, path, **kwargs):
        super().__init__(path, **kwargs)
        self.names.sort(key=by_numbers)

    def save(self, frames, folder):
        names = names_to_write(self.names)
        for i, frame in frames:
            file = folder / f"{names[i]}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            images.picture(frame).save(file)
        return folder


def by_numbers(name):
    """A key that sorts 9 before 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


class GIF(Images):
    """The frames of an animated GIF, with their durations."""

    def __init__(self, path):
        self.file = Image.open(path, formats=("GIF",))
        self.count = self.file.n_frames
        self.survey(path, None)

    def __len__(self):
        return self.count

    def header(self, i):
        return *self.file.size[::-1], 3, np.uint8

    def read(self, i):
        try:
            self.file.seek(i)
            return np.asarray(self.file.convert("RGB"))
        except Exception as error:  # decoders raise anything on arbitrary bytes
            raise BrokenImage(self.describe(i), str(error) or repr(error)) from error

    def describe(self, i):
        return f"{self.path}, frame {i}"

    def save(self, frames, folder):
        def timed():
            for i, frame in frames:
                self.file.seek(i)
                yield images.picture(frame), self.file.info.get("duration", 0)

        out = beside(self.path, folder, self.path.suffix)
        images.stream_gif(timed(), out, self.file.info.get("loop"))
        return out


def beside(path, folder, ending) -> pathlib.Path:
    """The file in a folder, which is made, that is named as the film `path`.

    Raises:
        BadInput: It is that film, which is read while the other one is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{path.stem}{ending}"
    if out.exists() and out.samefile(path):
        raise BadInput(f"{out} would be written over itself: choose another --out.")
    return out


class MP4(Images):
    """The frames of a file that ffmpeg reads, one after the other; it is written as H.264."""

    def __init__(self, path, count=None):
        ffmpeg = images.ffmpeg(f"Reading {path}", "A GIF or a folder of frames needs no package.")
        self.file = str(path)
        try:
            self.count = count or ffmpeg.count_frames_and_secs(self.file)[0]
            self.begin = functools.partial(ffmpeg.read_frames, self.file)
            frames = self.begin()
            self.about = next(frames)
            frames.close()
        except Exception as error:  # ffmpeg's own, of any kind
            *_, reason = str(error).strip().splitlines() or [repr(error)]
            raise DataError(
                f"ffmpeg cannot read {path} ({reason.strip()}).", "Give an intact film."
            ) from error
        self.frames, self.next = None, 0
        self.survey(path, None)

    def __len__(self):
        return self.count

    def header(self, i):
        return *self.about["size"][::-1], 3, np.uint8

    def read(self, i):
        if self.frames is None or i < self.next:
            self.frames, self.next = self.begin(), 0
            next(self.frames)  # a description of the film comes first
        try:
            while self.next <= i:
                data = next(self.frames)
                self.next += 1
        except (StopIteration, OSError) as error:
            raise BrokenImage(self.describe(i), "the film ends before it") from error
        return np.frombuffer(data, "uint8").reshape(*self.about["size"][::-1], 3)

    def describe(self, i):
        return f"{self.path}, frame {i}"

    def save(self, frames, folder):
        out = beside(self.path, folder, ".mp4")
        sound = self.file if "audio_codec" in self.about else None
        images.write_mp4((images.picture(x) for _, x in frames), out, self.about["fps"], sound)
        return out


class TemporalError:
    """Measures the temporal error of a film that is translated frame by frame.

    Attributes:
        given: Mean change of the input, in steps of 255.
        made: Mean change of the output.
        frames: Number of frames so far.
    """

    def __init__(self):
        self.last, self.frames, self.given, self.made = None, 0, 0.0, 0.0

    def add(self, before, after):
        """Counts one more frame and its translation, both [H, W, C] in [-1, 1].

        Raises:
            BadInput: Its size is another than that of the frame before.
        """
        now = [np.asarray(frame, "float32") for frame in (before, after)]
        if self.last:
            sizes = [frame[1].shape[:2] for frame in (self.last, now)]
            if sizes[0] != sizes[1]:
                raise BadInput(
                    f"A frame of {sizes[1][0]}x{sizes[1][1]} follows one of {sizes[0][0]}x"
                    f"{sizes[0][1]}. A film has frames of one size."
                )
            given, made = (
                127.5 * float(np.mean(np.abs(a - b))) for a, b in zip(self.last, now, strict=True)
            )
            self.given += (given - self.given) / self.frames  # means over the pairs so far
            self.made += (made - self.made) / self.frames
        self.last, self.frames = now, self.frames + 1

    def __str__(self):
        if self.frames < 2:
            return "One frame has no temporal error."
        return (
            f"Temporal error {self.made - self.given:+.2f} of 255: from frame to frame the output "
            f"changes by {self.made:.2f}, the input by {self.given:.2f}."
        )
