"""Finds and applies latent directions of attributes, and exports edits for a server.

python tools/edit.py MODEL sefa                         from the weights alone
python tools/edit.py MODEL ganspace                     principal components of w, or in z
python tools/edit.py MODEL difference --scores FILE     difference of mean codes
python tools/edit.py MODEL tlgan --scores FILE          regression; --base keeps attributes apart
python tools/edit.py MODEL interfacegan --scores FILE   boundaries; --base keeps attributes apart
python tools/edit.py MODEL apply edits.yaml             applies all edits of the file in turn
python tools/edit.py MODEL apply edits.yaml --export NAME   a release with an endpoint `edit`

All methods but apply write <out>/MODEL-METHOD.npz, .yaml (a line for each direction) and .png (each
direction at growing strengths). FILE is a CSV with the columns seed,NAME,... or a .keras classifier
of images.
"""

import argparse
import pathlib

import _start  # noqa: F401

from tfgans import images, latents, models, storage
from tfgans.errors import BadInput, as_typed, finite, label, run_tool, seed, whole
from tfgans.latents import attributes, edits, find


def arguments():
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", help="a release, or a path to a release, run or .keras file")
    add("method", choices=[*find.UNSUPERVISED, *find.SUPERVISED, "apply"])
    add("file", nargs="?", help="YAML file of edits, for apply")
    add("--scores", metavar="FILE", help="CSV of seeds, or a .keras classifier")
    add("--samples", type=whole(2), default=2000, help="images to classify (default 2000)")
    add("--space", choices=["z", "w"], default="w", help="space of scored codes (default w)")
    add("--layers", default="all", help="coarse, middle, fine, all, or like 0-3 (default all)")
    add("--base", nargs="+", default=[], metavar="NAME", help="attributes to keep unchanged")
    add(
        "-n",
        type=whole(1),
        default=5,
        help="number of directions for sefa and ganspace (default 5)",
    )
    add("--strengths", type=finite, nargs="+", default=[-3, -2, -1, 0, 1, 2, 3], metavar="S")
    add(
        "--seeds", type=seed, nargs="+", default=[0, 1, 2, 3], metavar="SEED", help="images to show"
    )
    add("--truncation", type=finite, metavar="PSI", help="below 1 reduces variety")
    add(
        "--label",
        type=label,
        help="class of all images (default: seed modulo number of classes)",
    )
    add("--export", metavar="NAME", help="writes saved_models/NAME/<next version>, for apply")
    add("--out", default="samples", metavar="DIR", help="folder (default: samples)")
    return parser


def main():
    args = arguments().parse_args()
    if (args.file is None) == (args.method == "apply"):
        raise BadInput("apply takes a YAML file of edits; the other methods take none.")

    space = latents.Space(models.load(args.model), args.label)
    stem = pathlib.Path(args.out) / f"{pathlib.Path(args.model).stem}-{args.method}"
    if args.method == "apply":
        moves = edits.load(args.file, space)
        table = edits.stacked(space, moves, args.seeds, args.truncation)
        print("Columns: unedited, " + ", ".join(f"+ {edit.name}" for edit in moves))
        if args.export:
            more = {"edit": edits.endpoint(space, moves)}
            print(f"Written: {storage.release(space.model, args.export, more=more)}")
    else:
        layers = latents.layers_of(args.layers, space.num_ws)
        if args.method in find.UNSUPERVISED:
            if args.n > min(space.dims.values()):
                raise BadInput(
                    f"-n: there are {min(space.dims.values())} directions, not {args.n}."
                )
            moves = find.UNSUPERVISED[args.method](space, layers, args.n)
        else:
            scored = attributes.scored(space, args.scores, args.samples)
            moves = find.from_scores(args.method, space, scored, args.space, layers, args.base)
        table = edits.strip(space, moves, args.seeds[0], args.strengths, args.truncation)
        print("Rows: " + ", ".join(edit.name for edit in moves))
    stem.parent.mkdir(parents=True, exist_ok=True)
    if args.method != "apply":
        edits.save(moves, stem)
        print(f"Written: {stem}.npz, {stem}.yaml")
    images.save_grid(table, f"{stem}.png")
    print(f"Written: {stem}.png")


if __name__ == "__main__":
    run_tool(main)
