"""The data kind "video": clips of frames, and their flow, label maps or single frames.

A set is one of these, at any depth, and of a folder `train` in it only that is read:

    film/00000.png  film/00001.png ..   a folder for each film, frames in the order of their numbers
    class/film.png                      strips: square frames beside or below each other
    film.gif  film.mp4                  ffmpeg decodes an MP4 from its beginning each time

Images that are at least four times as long as wide are strips. For models of label maps there are
two sets of folders with frames of the same names, as for the kind "label_maps".

The folder `flow` beside films holds their flow, see `flow.py`.

A clip has `model.length` frames, or as many as its stage says, which are `data.every_nth` frames
apart where the film is long enough, and next to each other where it is not. Shorter films are left
out.
"""

import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from PIL import Image

from tfgans.data.convert import aligned, center, crop_resize, cut, prepare
from tfgans.data.endings import IMAGES, ends
from tfgans.data.files import FolderImages, files_in
from tfgans.data.films import MOVING, by_numbers, is_film, open_film
from tfgans.data.flow import find_flow, followed
from tfgans.data.images import common_shape, read_whole, report_conversion
from tfgans.data.label_maps import LEGEND, Numbers, counted, crop_nearest, numbered, read_legend
from tfgans.data.layouts import match, two_folders
from tfgans.data.motion import NoisySquares, SyntheticDigits, SyntheticSquares
from tfgans.data.settings import Data
from tfgans.data.source import BrokenImage, DataError, in_parallel
from tfgans.errors import command
from tfgans.images import ffmpeg
from tfgans.ops.warp import ALIKE

DRAWN = {"scenes": SyntheticSquares, "noisy": NoisySquares, "digits": SyntheticDigits}
STRIP = 4  # frames of a strip, at least
IMAGE_ORDER = 1  # stream of the order of single frames
WANTED = (
    "Wanted: a folder for each film with an image for each frame; strips of square frames, one for "
    "each film; or films, GIF or MP4."
)


class Films:
    """Films of images in files.

    Attributes:
        lengths: Frames of each film.
        smallest, largest, shape, value_range: Those of the frames, see `Images`.
        names: Names of the films in their folder.
        maps: Label maps of the frames, or None.
        legend: Names and colors of their classes.
        flow: The `Flow` of the films, or None.
        broken: The errors of films that are left out.
    """

    noun = "film"
    failure, conversion_reported, maps, legend, flow, broken = None, False, None, (), None, ()

    def __len__(self):
        return len(self.lengths)

    @property
    def shape(self):
        return self.smallest if self.smallest == self.largest else None

    def stream(self, i):
        """Yields the frames of film i, one after the other."""
        for k in range(self.lengths[i]):
            yield self.read(i, [k])["video"][0]


class FrameFolders(Films):
    """A folder for each film, an image for each frame."""

    def __init__(self, images, maps=None, legend=()):
        self.images, self.maps, self.legend, self.path = images, maps, legend, images.path
        self.smallest, self.largest = images.smallest, images.largest
        self.value_range, films = images.value_range, {}
        for k, name in enumerate(images.names):
            films.setdefault(name.rpartition("/")[0], []).append(k)
        self.films = [
            sorted(frames, key=lambda k: by_numbers(images.names[k])) for frames in films.values()
        ]
        self.names = list(films)
        self.lengths = np.array([len(frames) for frames in self.films])

    def read(self, i, frames):
        """Frames of film i: "video", a list of [h, w, c]; "map", a list of int32 [h, w, 1]."""
        places = [self.films[i][k] for k in frames]
        found = {"video": [self.images.read(k) for k in places]}
        if self.maps is not None:
            found["map"] = [self.maps.read(k) for k in places]
            for k, image, labels in zip(places, *found.values(), strict=True):
                if image.shape[:2] != labels.shape[:2]:
                    reason = f"{labels.shape[:2]}, but its frame has {image.shape[:2]}"
                    raise BrokenImage(self.maps.describe(k), reason)
        return found

    def describe(self, i):
        return str(pathlib.Path(self.path) / self.names[i])


class Strips(Films):
    """A strip of square frames for each film."""

    def __init__(self, images, broken):
        self.images, self.path, self.value_range = images, images.path, images.value_range
        headers, self.broken = intact(self.header, len(images), broken, images.path)
        self.kept, sizes = [*headers], np.array([*headers.values()])  # frames, side, channels
        self.names = [images.names[k] for k in self.kept]
        self.lengths = sizes[:, 0]
        self.smallest, self.largest = (
            (int(side), int(side), int(channels))
            for _, side, channels in (sizes.min(0), sizes.max(0))
        )

    def header(self, k):
        height, width, channels, _ = self.images.header(k)
        side = min(height, width)
        return max(height, width) // side, side, channels

    def read(self, i, frames):
        strip = self.images.read(self.kept[i])
        if strip.shape[0] > strip.shape[1]:  # frames below each other
            return {"video": [strip[k * strip.shape[1] :][: strip.shape[1]] for k in frames]}
        return {"video": [strip[:, k * strip.shape[0] :][:, : strip.shape[0]] for k in frames]}

    def stream(self, i):
        yield from self.read(i, range(self.lengths[i]))["video"]

    def describe(self, i):
        return self.images.describe(self.kept[i])


class FilmFiles(Films):
    """Films in GIF or MP4 files."""

    value_range = (0, 255)

    def __init__(self, path, names, broken):
        if any(ends(name, MOVING) for name in names):  # one error in place of one for each film
            ffmpeg(f"Reading {path}", "GIF files and folders of frames need no package.")

        def header(i):
            film = open_film(path / names[i])
            return len(film), film.smallest

        self.path, (headers, self.broken) = path, intact(header, len(names), broken, path)
        self.names = [names[k] for k in headers]
        lengths, sizes = zip(*headers.values(), strict=True)
        self.lengths = np.array(lengths)
        self.smallest, self.largest = (tuple(map(int, f(sizes, axis=0))) for f in (np.min, np.max))

    def read(self, i, frames):
        film = self.open(i)
        return {"video": [film.read(int(k)) for k in frames]}

    def stream(self, i):
        yield from map(self.open(i).read, range(self.lengths[i]))

    def open(self, i):
        # One of its own: threads read others meanwhile.
        return open_film(self.path / self.names[i], int(self.lengths[i]))

    def describe(self, i):
        return str(self.path / self.names[i])


def intact(header, count, broken, path) -> tuple:
    """Index -> header(index) of all films that have one, and the errors of the others.

    Args:
        header: Function of an index.
        count: Number of films.
        broken: "skip" reports a film without a header and leaves it out, "fail" raises its error.
        path: Path of the set, for messages.

    Raises:
        DataError: No film has one.
    """

    def attempt(i):
        try:
            return header(i)
        except Exception as error:  # decoders raise anything on arbitrary bytes
            return error

    found = dict(enumerate(in_parallel(attempt, range(count))))
    problems = {i: error for i, error in found.items() if isinstance(error, Exception)}
    for problem in problems.values():
        if broken == "fail":
            raise problem
        print(f"skipped broken film {problem}")
    if len(problems) == count:
        raise DataError(
            f"All {count} films of {path} are broken, the first one: {problems[0]}",
            "Replace them with intact copies.",
        )
    intact = {i: about for i, about in found.items() if i not in problems}
    return intact, list(problems.values())


def open_films(path, settings: Data, maps=False) -> Films:
    """Opens a set of films, with their flow if there is one; see the head of this file.

    Args:
        path: A folder.
        settings: Its value_range and broken are used.
        maps: The films have label maps.

    Raises:
        DataError: There are no films, or films beside images, or the flow of some frames alone.
    """
    found = open_frames(path, settings, maps)
    found.flow = find_flow(found.path, found.names, found.lengths)
    return found


def open_frames(path, settings, maps) -> Films:
    path = pathlib.Path(path).expanduser()
    if not path.is_dir():
        raise DataError(f"{path} is no folder.", WANTED)
    if maps:
        return open_with_maps(path, settings)
    path = path / "train" if (path / "train").is_dir() else path
    names = [name for name in files_in(path) if not any(p[0] == "." for p in name.split("/"))]
    films = [name for name in names if ends(name, MOVING)]
    gifs = [name for name in names if ends(name, ".gif")]
    if any(is_film(path / name) for name in gifs):  # then the others are broken
        films += gifs
    images = sorted({name for name in names if ends(name, IMAGES)} - {*films})
    if films and images:
        raise DataError(
            f"{path} holds films, for example {min(films)}, and images, for example {images[0]}.",
            "Give the path of one kind, or move the others out.",
        )
    if films:
        return FilmFiles(path, sorted(films), settings.broken)
    if not images:
        raise DataError(f"There are no films in {path}.", WANTED)
    source = FolderImages(path, settings.value_range, every=True)
    return Strips(source, settings.broken) if are_strips(source) else FrameFolders(source)


def are_strips(images) -> bool:
    """True if up to 100 evenly spaced images are all strips."""
    seen = []
    for k in {int(k) for k in np.linspace(0, len(images) - 1, 100)}:
        try:
            height, width = images.header(k)[:2]
        except BrokenImage:
            continue
        seen.append(max(height, width) // min(height, width) >= STRIP)
    return bool(seen) and all(seen)


def open_with_maps(path, settings) -> FrameFolders:
    """Folders of frames, and folders of label maps with files of the same names."""
    folders = two_folders(path)
    if folders is None:
        raise DataError(
            f"{path} has no folder of label maps beside one of frames.",
            "Wanted: folders labels and images, or train_A and train_B, each with a folder for "
            "each film and files of the same names.",
        )
    labels, images = map(pathlib.Path, folders)
    legend = read_legend(labels.parent / LEGEND) or read_legend(path / LEGEND)
    found = FolderImages(images, settings.value_range, every=True), Numbers(labels, legend)
    match(*found)
    return FrameFolders(*found, legend)


def resolve(settings: Data, given: dict, defaults: dict):
    """Opens the films; sets image_shape, and num_labels and legend, where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults. Films have label
            maps for a model with `num_labels`.
    """
    model, maps = defaults | given, "num_labels" in defaults
    if settings.path == "synthetic":
        if settings.drawn not in DRAWN:
            raise DataError(
                f"data.drawn is {settings.drawn!r}, and synthetic films show one of: "
                f"{', '.join(DRAWN)}.",
                "Choose one of these.",
            )
        height, width = (side + settings.jitter for side in model["image_shape"][:2])
        length = model["length"] * settings.every_nth
        source = DRAWN[settings.drawn]((height, width), length)
    else:
        source = open_films(settings.path, settings, maps)
        if "image_shape" not in given:
            given["image_shape"] = list(common_shape(source))
    if maps:
        if source.maps is None and not source.legend:
            raise DataError(
                f"Synthetic {settings.drawn} have no label maps.", "Set data.drawn=scenes."
            )
        if "num_labels" not in given:
            given["num_labels"] = len(source.legend) or counted(source.maps)
        if len(source.legend) == given["num_labels"]:
            given.setdefault("legend", source.legend)
    return source


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    height, width, channels = model.stage_shape(stage)
    clip = [model.stage_length(stage), height, width]
    specs = {
        "flow": tf.TensorSpec([*clip, 2]),
        "visible": tf.TensorSpec([*clip, 1]),
        "map": tf.TensorSpec(clip, "int32"),
        "image": tf.TensorSpec([height, width, channels]),
    }
    wanted = getattr(model, "parts_of_clips", ())
    return {"video": tf.TensorSpec([*clip, channels])} | {name: specs[name] for name in wanted}


def sampled(length, count, every_nth, draw) -> np.ndarray:
    """The numbers of `count` frames of a film.

    They are `every_nth` apart where the film has count * every_nth frames, from a random beginning;
    else they are the first ones.

    Args:
        length: Frames of the film, at least `count`.
        count: Frames of the clip.
        every_nth: Distance of the frames.
        draw: Random number in [0, 1).
    """
    if length < count * every_nth:
        return np.arange(count)
    span = every_nth * (count - 1)
    start = int(draw * (length - span))
    return start + every_nth * np.arange(count)


class Clips:
    """The films that are long enough for a clip.

    Args:
        source: The films.
        length: Frames of a clip.

    Raises:
        DataError: No film is long enough.
    """

    noun = "film"

    def __init__(self, source, length):
        self.source, self.found_broken = source, {}
        self.long = np.flatnonzero(source.lengths >= length)
        if not len(self.long):
            raise DataError(
                f"The longest film of {source.path} has {source.lengths.max()} frames, and a clip "
                f"of the model {length}.",
                "Use longer films, or lower model.length.",
            )

    def __len__(self):
        return len(self.long)


class Reader:
    """Feeds a model with clips: "video", and what else the model wants of each clip.

    All frames of a clip are cut and mirrored alike. "flow" [T, H, W, 2] leads from each frame to
    the one before, see `ops/warp.py`, and "visible" [T, H, W, 1] is 1 where a pixel was there
    before; the first frame has none. Synthetic films know both. The flow of films in files is read
    from files; where there are none it counts as 0. There, pixels that are like those to which the
    flow leads count as visible, as in `ops.warp.confidence`. "map" [T, H, W] has class numbers,
    and "image" is a frame of another film.

    Args:
        model: Its stage_length, stage_shape and `parts_of_clips` ("flow", "visible", "map",
            "image") are used, and for label maps its num_labels and `unlabeled`.
        source: The films that `resolve` returns.
        config: Its every_nth, flip, jitter and broken are used.
        stage: Stage of the model.

    Raises:
        DataError: The films or settings do not fit the model.
    """

    unit = "clips"
    real = "video"
    settings = ("every_nth", "drawn", "flip", "jitter")
    draws = 8  # beginning, window and mirror, for the clip and for the single frame

    def __init__(self, model, source, config: Data, stage: int):
        self.source, self.config, self.signature = source, config, signature(model, stage)
        self.shape, self.length = tuple(model.stage_shape(stage)), model.stage_length(stage)
        self.clips, self.model = Clips(source, self.length), model
        sides = [side + config.jitter for side in self.shape[:2]]
        report_conversion(source, *sides, self.shape[2])
        if len(self.clips) < len(source) and not getattr(source, "short_reported", False):
            source.short_reported = True
            print(
                f"{len(source) - len(self.clips)} of {len(source)} films of {source.path} have "
                f"less than {self.length} frames, and are left out."
            )
        self.pool = ThreadPoolExecutor()

    def read(self, positions, order, draws):
        n = len(positions)
        found = {
            # int32 and float32 have the same size
            name: aligned([n, *spec.shape]).view(spec.dtype.as_numpy_dtype)
            for name, spec in self.signature.items()
        }

        def fill(place, i, other):
            for name, part in self.clip(i, draws[place, :4]).items():
                if name in found:
                    found[name][place] = part
            if "image" in found:
                found["image"][place] = self.frame(other, draws[place, 4:])

        indices = [order(p, len(self.clips)) for p in positions]
        others = [order(p, len(self.clips), IMAGE_ORDER) for p in positions]
        list(self.pool.map(fill, range(n), indices, others))
        return found

    def stored(self, i, count, every_nth, draw):
        """The stored parts of a clip, of film i or the next intact one, and its index."""

        def read(k):
            k = self.clips.long[k]
            frames = sampled(self.source.lengths[k], count, every_nth, draw)
            found = self.source.read(k, frames)
            if self.source.flow and count > 1 and {"flow", "visible"} & self.signature.keys():
                found["flow"] = self.source.flow.read(k, frames, found["video"][0].shape[:2])
            return found

        return read_whole(self.clips, i, self.config.broken, read)

    def prepared(self, image):
        height, width, channels = self.shape
        size = height + self.config.jitter, width + self.config.jitter
        return prepare(image, self.source.value_range, (*size, channels))

    def cut(self, part, draws):
        return cut(part, *self.shape[:2], draws, self.config.flip)

    def frame(self, i, draws):
        """A single frame of film i, [H, W, C]."""
        parts, _ = self.stored(i, 1, 1, draws[0])
        return self.cut(self.prepared(parts["video"][0]), draws[1:])

    def clip(self, i, draws):
        """The parts of a clip of film i."""
        parts, used = self.stored(i, self.length, self.config.every_nth, draws[0])
        video = [self.cut(self.prepared(image), draws[1:]) for image in parts["video"]]
        clip = {"video": np.stack(video)}
        if "map" in self.signature:
            clip["map"] = [self.labels(part, used, draws[1:]) for part in parts["map"]]
        if "flow" in self.signature or "visible" in self.signature:
            clip |= self.motion(parts, clip["video"], draws[1:])
        return clip

    def motion(self, parts, video, draws):
        """ "flow" and "visible" of a clip, from the first of their sources that there is."""
        if "flow" not in parts:
            self.report(
                "has none, so it counts as 0, and pixels that stay as they are count as visible. "
                f"To estimate it: {command('data')} flow PATH"
            )
            flow = np.zeros([*video.shape[:3], 2], "float32")
            return {"flow": flow, "visible": alike(video, flow)}
        flow = np.stack([self.cut(self.scaled(part), draws) for part in parts["flow"]])
        if self.config.flip and draws[2] < 0.5:
            flow[..., 0] *= -1
        if "visible" in parts:
            self.report("is exact: it is drawn with them")
            visible = [self.cut(part, draws) for part in parts["visible"]]
            return {"flow": flow, "visible": visible}
        self.report(f"is read from {self.source.flow.root}")
        return {"flow": flow, "visible": alike(video, flow)}

    def report(self, words):
        if not getattr(self.source, "flow_reported", False):
            self.source.flow_reported = True
            print(f"The flow of the films of {self.source.path} {words}.")

    def scaled(self, flow):
        """A flow [h, w, 2] at the size of prepared frames, in their pixels."""
        size = tuple(side + self.config.jitter for side in self.shape[:2])
        seen = flow[center(*flow.shape[:2], *size)].shape[:2]
        flow = crop_resize(flow, *size, Image.Resampling.BILINEAR)
        return flow * np.float32([size[1] / seen[1], size[0] / seen[0]])

    def labels(self, part, used, draws):
        part = part if part.ndim == 3 else part[..., None]
        size = (side + self.config.jitter for side in self.shape[:2])
        part = self.cut(crop_nearest(part, *size), draws)[..., 0]
        where = self.source.describe(self.clips.long[used])
        return numbered(part, self.model.num_labels, getattr(self.model, "unlabeled", False), where)


def alike(video, flow):
    """1 where a flow leads to a like pixel of the frame before, [T, H, W, 1]; 0 in the first."""
    visible = np.zeros([*video.shape[:3], 1], "float32")
    for t in range(1, len(video)):
        change = np.square(video[t] - followed(video[t - 1], flow[t])).sum(axis=-1, keepdims=True)
        visible[t] = change < ALIKE
    return visible
