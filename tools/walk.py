"""Walks through latent space: `python tools/walk.py stylegan2-fashion`.

Looping animations (GIF, or --mp4):
  z           great circles between the latents of seeds (default)
  w           straight lines between their w
  smooth      noise that is smoothed over a second, as in ProGAN's videos
Other animation:
  training    the sample grids of a run, from the first to the last
Tables:
  truncation  each seed at psi from -1 to 1
"""

import argparse
import pathlib

import _start  # noqa: F401
import numpy as np

from tfgans import images, latents, models
from tfgans.callbacks import sample_grids
from tfgans.errors import BadInput, as_typed, finite, label, run_tool, seed, whole

MOVING, TABLES = ("z", "w", "smooth", "training"), ("truncation",)


def arguments():
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", help="a release, or a path to a release, run or .keras file")
    add("kind", nargs="?", default="z", choices=MOVING + TABLES)
    add("--seeds", type=seed, nargs="+", default=list(range(10)), metavar="SEED", help="stops")
    add("--frames", type=whole(1), default=24, help="frames from one stop to the next (default 24)")
    add("--rate", type=whole(1, 100), default=24, help="frames per second, up to 100 (default 24)")
    add("--mp4", action="store_true", help='MP4 instead of GIF: pip install "tfgans[video]"')
    add("--columns", type=whole(1), default=1, help="walks side by side, each with its own seeds")
    add("--truncation", type=finite, metavar="PSI", help="below 1 reduces variety")
    add(
        "--label",
        type=label,
        help="class of all images (default: seed modulo number of classes)",
    )
    add("--out", default="samples", metavar="DIR", help="folder (default: samples)")
    return parser


def main():
    args = arguments().parse_args()
    if (max(args.seeds) + 1) * args.columns > 2**32:
        raise BadInput("The seeds of the last column are above 4294967295: give smaller --seeds.")

    if args.kind != "training":
        space = latents.Space(models.load(args.model), args.label)
    if args.kind == "training":
        made = sample_grids(args.model)
    elif args.kind == "truncation":
        made = latents.truncation_table(space, args.seeds, np.linspace(-1, 1, 9))
    else:
        walks = []
        for k in range(args.columns):
            seeds = [seed + k * (max(args.seeds) + 1) for seed in args.seeds]
            ws = latents.walk(
                space, seeds, args.frames, args.kind, args.truncation, smoothing=args.rate
            )
            walks.append(space.images(ws))
        made = np.concatenate(walks, axis=2)
    ending = "png" if args.kind in TABLES else "mp4" if args.mp4 else "gif"
    path = pathlib.Path(args.out) / f"{pathlib.Path(args.model).stem}-{args.kind}.{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if args.kind in TABLES:
        images.save_grid(made, path)
    else:
        images.save_video(made, path, args.rate)
    print(f"Written: {path}")


if __name__ == "__main__":
    run_tool(main)
