"""Exports a run or a `.keras` file as a release: `python tools/export.py runs/stylegan2 faces`."""

import argparse

import _start  # noqa: F401

from tfgans import models, storage
from tfgans.errors import as_typed, run_tool


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    parser.add_argument("model", help="a run, a .keras file, or a release")
    parser.add_argument("name", help="name of the release: saved_models/NAME/<next version>")
    parser.add_argument("--root", default="saved_models", metavar="DIR", help="folder of releases")
    return parser


def main():
    args = arguments().parse_args()
    folder = storage.release(models.load(args.model), args.name, args.root)
    print(f"Written: {folder}")


if __name__ == "__main__":
    run_tool(main)
