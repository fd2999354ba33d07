"""Writes files that are complete or absent, and checksums that show later damage.

A power failure can lose data that are not synced to the disk yet. So a file is written under
another name, synced and renamed, and then its folder is synced: its own name never denotes a part
of the file.

The checksums of `file` are in `file.sha256`, in the format of `sha256sum -c`.
"""

import hashlib
import os
import pathlib

from tfgans.errors import BadInput


class Altered(BadInput):
    """A file differs from the one that was written."""


def sync(path):
    """Waits until a file, or the list of names in a folder, is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def publish(partial: pathlib.Path, path: pathlib.Path):
    """Renames a complete file or folder to its final name, safe against power failures."""
    for part in [*partial.rglob("*"), partial]:
        sync(part)
    os.replace(partial, path)
    sync(path.parent)


def write_text(path: pathlib.Path, text: str):
    """Writes a small file; the old one stays until the new one is complete."""
    partial = path.with_name(f"partial-{path.name}")
    try:
        partial.write_text(text, encoding="utf-8")
        publish(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(path) -> str:
    """Hashes a file, or all files of a folder with their names; returns hexadecimal digits."""
    path, digest = pathlib.Path(path), hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()} {sha256(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def checksums(path: pathlib.Path) -> pathlib.Path:
    """Returns the path of the checksum file of a file."""
    return path.with_name(f"{path.name}.sha256")


def write_checksums(path: pathlib.Path, files):
    """Writes the checksum file of `path`: one line for each of `files`, `path` among them."""
    lines = [f"{sha256(file)}  {file.relative_to(path.parent).as_posix()}\n" for file in files]
    checksums(path).write_text("".join(lines), encoding="utf-8")


def check(path: pathlib.Path):
    """Compares a file, and the others in its checksum file, with their checksums.

    A file without a checksum file passes.

    Raises:
        Altered: Files are missing or altered. The message names them.
    """
    if not checksums(path).exists():
        return
    lines = checksums(path).read_text("utf-8", errors="replace").splitlines()
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    wanted.setdefault(path.name, None)  # the checksum file itself may be altered
    files = path.parent.rglob("*")
    there = {file.relative_to(path.parent).as_posix(): file for file in files if file.is_file()}
    altered = [
        name
        for name, digest in wanted.items()
        if name not in there or sha256(there[name]) != digest
    ]
    if altered:
        raise Altered(
            f"{path.parent} does not hold what was written: {', '.join(altered)} "
            f"{'is' if len(altered) == 1 else 'are'} altered or missing, according to "
            f"{checksums(path).name}."
        )
