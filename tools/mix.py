"""Draws a table of mixed styles: `python tools/mix.py stylegan2-fashion --layers coarse`.

Each image has the styles of its row's seed, except --layers, which have those of its column's seed.
Coarse layers (sides up to 8 pixels) control pose and shape, middle ones (16 and 32) parts, fine
ones colors and texture.
"""

import argparse
import pathlib

import _start  # noqa: F401

from tfgans import images, latents, models
from tfgans.errors import as_typed, finite, label, run_tool, seed


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    add = parser.add_argument
    add("model", help="a release, or a path to a release, run or .keras file")
    add("--rows", type=seed, nargs="+", default=[0, 1, 2, 3], metavar="SEED")
    add("--columns", type=seed, nargs="+", default=[4, 5, 6, 7, 8, 9], metavar="SEED")
    add("--layers", default="0-6", help="coarse, middle, fine, all, or like 0-3,6 (default 0-6)")
    add("--truncation", type=finite, metavar="PSI", help="below 1 reduces variety")
    add(
        "--label",
        type=label,
        nargs="+",
        help="class of all images, or their label vector, such as 1 0 1 (default: seed modulo "
        "number of classes)",
    )
    add("--out", default="samples", metavar="DIR", help="folder (default: samples)")
    return parser


def main():
    args = arguments().parse_args()

    label = args.label[0] if args.label and len(args.label) == 1 else args.label
    space = latents.Space(models.load(args.model), label)
    layers = latents.layers_of(args.layers, space.num_ws)
    table = latents.mixing_table(space, args.rows, args.columns, layers, args.truncation)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    images.save_grid(table, path := out / f"{pathlib.Path(args.model).stem}-mix-{args.layers}.png")
    print(f"Written: {path}")


if __name__ == "__main__":
    run_tool(main)
