"""Folders of images that belong together: the layouts that are known, and files of one name."""

import pathlib

from tfgans.data.source import DataError

NAMES = (
    ("A", "B"),
    ("input", "target"),
    ("input", "output"),
    ("source", "target"),
    ("label", "img"),
    ("label", "image"),
    ("labels", "images"),
)
PREFIXES = ("", "train", "train_", "train-")
LAYOUTS = (
    "A and B (or input and target), trainA and trainB, train_A and train_B, train/A and train/B"
)


def two_folders(path: pathlib.Path) -> list | None:
    """Finds two folders of a known layout, without regard to capitals; None if there are none.

    Args:
        path: An existing folder; anything else has no layout.

    Returns:
        The folder of A and the folder of B.
    """
    for top in (path, path / "train"):
        if not top.is_dir():
            continue
        folders = {entry.name.lower(): entry for entry in sorted(top.iterdir()) if entry.is_dir()}
        for pair in NAMES:
            for prefix in PREFIXES:
                found = [folders.get(prefix + name.lower()) for name in pair]
                if all(found):
                    return found
    return None


def unknown_pair(keys: list) -> list | None:
    """Finds two folders that look like the two sides of pairs, under any names.

    Args:
        keys: Names of files, with / between folders.

    Returns:
        Names of two folders at the top: the only ones, or two whose files have the same names
        apart from their endings. None if there are no such two, or a file is outside of folders.
    """
    stems = {}
    for key in keys:
        folder, slash, rest = key.partition("/")
        if not slash:
            return None
        stems.setdefault(folder, set()).add(rest.rpartition(".")[0])
    if len(stems) == 2:
        return sorted(stems)
    same = {}
    for folder in sorted(stems):
        first = same.setdefault(frozenset(stems[folder]), folder)
        if first != folder:
            return [first, folder]
    return None


def match(*sources, stem=lambda name: name.rpartition(".")[0], noun="image"):
    """Orders the files of several folders so that those of the same name have the same place.

    Args:
        sources: `FileImages`, or others with `names`, which change, and a `path`.
        stem: Name of a file -> the part of it that the partners share.
        noun: Word for one of the files.

    Raises:
        DataError: A file has no partner in another folder, or two in one folder have one name.
    """
    stems = []
    for images in sources:
        stems.append({stem(name): name for name in images.names})
        if len(stems[-1]) < len(images.names):
            raise DataError(
                f"{images.path} holds files that differ in their suffixes only.",
                f"Keep one {noun} of each name.",
            )
    for k in range(1, len(sources)):
        for one, other in ((0, k), (k, 0)):
            here = stems[one]
            alone = sorted(set(here) - set(stems[other]))
            if alone:
                raise DataError(
                    f"{len(alone)} of {len(here)} {noun}s of {sources[one].path} have no partner "
                    f"of the same name in {sources[other].path}, for example {here[alone[0]]}.",
                    f"Add the missing partners, or remove these {noun}s.",
                )
    for images, names in zip(sources, stems, strict=True):
        images.names = [names[key] for key in sorted(names)]
