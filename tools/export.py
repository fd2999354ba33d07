"""Exports a run or a `.keras` file as a release: `python tools/export.py runs/stylegan2 faces`.

A release holds a SavedModel. With `--to onnx tflite` it also holds a file for each endpoint that
these run times can have; the other endpoints are listed with the reason.
"""

import argparse

import _start  # noqa: F401

from tfgans import models, storage
from tfgans.errors import as_typed, run_tool
from tfgans.models import runtimes


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    parser.add_argument("model", help="a run, a .keras file, or a release")
    parser.add_argument("name", help="name of the release: saved_models/NAME/<next version>")
    parser.add_argument("--root", default="saved_models", metavar="DIR", help="folder of releases")
    parser.add_argument("--to", nargs="+", default=[], choices=runtimes.RUN_TIMES, metavar="WORD",
                        help="further run times: onnx, tflite")  # fmt: skip
    return parser


def main():
    args = arguments().parse_args()
    folder = storage.release(models.load(args.model), args.name, args.root, to=args.to)
    print(f"Written: {folder}")


if __name__ == "__main__":
    run_tool(main)
