"""`check` of a set of films: their number, lengths and sizes, and what is broken in them."""

import collections
import pathlib

from tfgans.data.endings import ends
from tfgans.data.files import files_in
from tfgans.data.films import MOVING, is_film
from tfgans.data.flow import read_flo
from tfgans.data.settings import Data
from tfgans.data.source import BrokenImage, DataError
from tfgans.data.video import open_films

COPY = "replace it with an intact copy, or remove it"


def holds_films(folder: pathlib.Path) -> bool:
    """True for a folder of MP4 files or moving GIFs; folders do not tell what they are."""
    return any(
        ends(name, MOVING) or ends(name, ".gif") and is_film(folder / name)
        for name in files_in(folder)
    )


def problems_of_films(path):
    """Reads all frames of a set of films, and their flow; prints what the set holds.

    A film is read up to its first broken frame.

    Args:
        path: A set of films, see `video.py`.

    Yields:
        Name, problem and fix of each problem.
    """
    try:
        source = open_films(path, Data())
    except DataError as error:
        yield str(path), error.problem, error.fix
        return
    for error in source.broken:
        yield getattr(error, "name", str(path)), f"cannot be read: {error}", COPY
    sizes = {}
    for i in range(len(source)):
        try:
            seen = collections.Counter(frame.shape[:2] for frame in source.stream(i))
        except BrokenImage as error:
            yield error.name, f"cannot be read: {error.reason}", COPY
            continue
        sizes[i], _ = seen.most_common(1)[0]
        if len(seen) > 1:
            given = ", ".join(f"{h}x{w}" for h, w in sorted(seen))
            yield source.describe(i), f"has frames of several sizes: {given}", "make them one size"
        if source.lengths[i] < 2:
            yield source.describe(i), "has one frame: nothing moves", "remove it"
    counts = collections.Counter(sizes.values())
    for i, size in sizes.items():
        common, count = counts.most_common(1)[0]
        if size != common:
            words = "has {}x{}; {} of {} films have {}x{} pixels (height x width)"
            problem = words.format(*size, count, len(sizes), *common)
            yield source.describe(i), problem, "leave it: training crops and resizes each time"
    if source.flow:
        yield from problems_of_flow(source, sizes)
    low, high = source.lengths.min(), source.lengths.max()
    shapes = " or ".join(f"{h}x{w}" for h, w in sorted(counts))
    flow = f"their flow is in {source.flow.root}" if source.flow else "they have no flow"
    print(f"{len(source)} films of {low} to {high} frames of {shapes} pixels; {flow}.")


def problems_of_flow(source, sizes):
    """The problems of the files of flow, of films of known sizes."""
    for i, size in sizes.items():
        for frame in range(1, source.lengths[i]):
            file = source.flow.file(i, frame)
            try:
                found = read_flo(file).shape[:2]
            except DataError as error:
                yield str(file), error.problem.removeprefix(f"{file} "), error.fix
                continue
            if found != size:
                problem = "has {}x{} pixels, and its frame {}x{}".format(*found, *size)
                yield str(file), problem, "estimate the flow anew"
