"""Exports a run or a `.keras` file as a release: `python tools/export.py runs/stylegan2 faces`.

A release holds a SavedModel. With `--to onnx tflite` it also holds a file for each endpoint that
these run times can have; the other endpoints are listed with the reason. With `--machine gpu` XLA
compiles each endpoint as a whole where the SavedModel is served. With `--push USER/MODEL`
the release goes to the hub of Hugging Face, with a model card that tells the run's settings and
metrics; NAME may be left out then. The login is that of `hf auth login`.
"""

import argparse
import pathlib
import tempfile

import _start  # noqa: F401

from tfgans import card, hub, models, storage
from tfgans.errors import BadInput, as_typed, run_tool
from tfgans.models import runtimes, serving


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    add = parser.add_argument
    add("model", help="a run, a .keras file, or a release")
    add("name", nargs="?", help="name of the release: saved_models/NAME/<next version>")
    add("--root", default="saved_models", metavar="DIR", help="folder of releases")
    add("--to", nargs="+", default=[], choices=runtimes.RUN_TIMES, metavar="WORD",
        help="further run times: onnx, tflite")  # fmt: skip
    add("--machine", default="cpu", choices=serving.MACHINES,
        help="the machine that will serve it (default cpu, which every machine runs)")  # fmt: skip
    add("--push", metavar="USER/MODEL", help="upload it to this repository of the hub")
    return parser


def main():
    args = arguments().parse_args()
    if not (args.name or args.push):
        raise BadInput("Give a NAME for the release, or --push USER/MODEL, or both.")
    model = models.load(args.model)
    if args.push:
        hub.create(args.push)
    with tempfile.TemporaryDirectory() as scratch:
        root = args.root if args.name else scratch
        name = args.name or "release"
        folder = storage.release(model, name, root, to=args.to, machine=args.machine)
        made_for = (folder / serving.MACHINE).read_text(encoding="utf-8").strip()
        print(f"Made for {made_for}.")
        if args.name:
            print(f"Written: {folder}")
        if args.push:
            push(model, folder, args)


def push(model, folder, args):
    """Uploads a release with its card."""
    run = card.run_of(args.model)
    picture = card.picture(model, run)
    more = {"README.md": card.card(model, args.push, run, picture is not None).encode()}
    if picture:
        more[card.PICTURE] = picture
    print(f"Uploaded: {hub.push(pathlib.Path(folder), args.push, more)}")


if __name__ == "__main__":
    run_tool(main)
