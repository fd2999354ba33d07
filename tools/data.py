"""Checks and packs data sets: `check` lists problems, `pack` writes TFRecords.

`cluster` writes them with the number of a cluster of similar images as label, for a model with
classes. `rewrite` writes an image file again with other channels or bits; the set reads as before.
`flow` estimates the flow of films by a network that learns from their frames alone, and writes it
into a folder beside them, PATH/flow, where models of films find it.

python tools/data.py check photos/
python tools/data.py rewrite photos/logo.png --channels 3
python tools/data.py pack photos.zip data/photos --size 256 256
python tools/data.py cluster photos/ data/clusters --clusters 50 --extractor own-small
python tools/data.py check films/ --films
python tools/data.py flow films/
"""

import argparse
import sys

import _start  # noqa: F401

from tfgans import features
from tfgans.data import DataError
from tfgans.data.check import check
from tfgans.data.cluster import cluster
from tfgans.data.estimate_flow import write_flow
from tfgans.data.pack import pack
from tfgans.data.rewrite import rewrite
from tfgans.data.source import printable
from tfgans.errors import as_typed, command, finite, quoted, run_tool, whole


def attempt(write, *args):
    """The result of a function that writes a set; its DataError ends the tool in plain words."""
    try:
        return write(*args)
    except DataError as error:
        sys.exit(f"{error.problem}\n{error.fix}")


def arguments():
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    checker = commands.add_parser("check", help="read all data and list the problems")
    packer = commands.add_parser("pack", help="write a set as sharded TFRecords")
    grouper = commands.add_parser("cluster", help="write a set as TFRecords with labels of its own")
    for reads in (checker, packer, grouper):
        reads.add_argument(
            "path",
            metavar="PATH",
            help="folder, zip, TFRecord, IDX, CIFAR, NumPy, tfds:NAME, hf:NAME; text of tokens",
        )
        reads.add_argument(
            "--value-range",
            nargs=2,
            type=finite,
            metavar=("LOW", "HIGH"),
            help="pixel values of black and white, for arrays of floats",
        )
    checker.add_argument("--films", action="store_true", help="folders of images are films")
    mover = commands.add_parser("flow", help="estimate the flow of films, and write it beside them")
    mover.add_argument("path", metavar="PATH", help="a folder of films")
    mover.add_argument("--steps", type=whole(1), default=500, help="of training (default: 500)")
    rewriter = commands.add_parser(
        "rewrite", help="write an image file with other channels or bits"
    )
    rewriter.add_argument("path", metavar="FILE", help="an image file; it is replaced")
    rewriter.add_argument("--channels", type=whole(1, 4), help="default: as it has")
    rewriter.add_argument("--bits", type=whole(8), choices=(8, 16), help="default: as it has")
    for writes in (packer, grouper):
        writes.add_argument("out", metavar="OUT", help="a folder that does not exist yet")
        writes.add_argument(
            "--size", nargs=2, type=whole(1), metavar=("H", "W"), help="crop and resize to this"
        )
    grouper.add_argument("--clusters", type=whole(2), default=50, help="number (default: 50)")
    grouper.add_argument(
        "--extractor",
        help=f"feature network, as in `{command('evaluate')}`: a path, or own-small",
    )
    packer.add_argument("--shards", type=whole(1), default=4, help="number of files (default: 4)")
    return parser


def main(argv=None) -> int:
    args = arguments().parse_args(argv)

    if args.command == "rewrite":
        rewrite(args.path, args.channels, args.bits)
        print(f"Written: {printable(args.path)}")
        return 0
    if args.command == "cluster":
        network = features.get(args.extractor)
        shares = attempt(
            cluster, args.path, args.out, network, args.clusters, args.size, args.value_range
        )
        words = ",".join(f"{share:.4g}" for share in shares)
        print(
            f"{args.clusters} clusters, written to {args.out}. Train with\n"
            f"--data {quoted(args.out)} --set model.labels=all "
            f"--set model.num_classes={args.clusters} --set 'model.class_shares=[{words}]'"
        )
        return 0
    if args.command == "flow":
        folder, count = attempt(write_flow, args.path, args.steps)
        print(f"Written: the flow of {count:,} frames to {printable(str(folder))}")
        return 0
    if args.command == "pack":
        count = attempt(pack, args.path, args.out, args.size, args.shards, args.value_range)
        print(f"{count:,} images written to {args.out}. Train with --data {quoted(args.out)}")
        return 0

    findings = check(args.path, args.value_range, args.films)
    for finding in findings:
        name, problem, fix = map(printable, (finding.name, finding.problem, finding.fix))
        print(f"{name}\n    wrong: {problem}\n    fix:   {fix}")
    print(f"{args.path}: {len(findings) or 'no'} problem{'s' * (len(findings) != 1)} found.")
    return 1 if findings else 0


if __name__ == "__main__":
    run_tool(main)
