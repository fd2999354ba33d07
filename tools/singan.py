"""Applications of a trained SinGAN. `tools/sample.py` draws plain samples.

python tools/singan.py RUN sample --stretch 1 2     samples of any size; --first keeps the layout
python tools/singan.py RUN enlarge --factor 4       super-resolution of the training image
python tools/singan.py RUN paint drawing.png        paint-to-image
python tools/singan.py RUN harmonize pasted.png mask.png
python tools/singan.py RUN edit moved.png mask.png
python tools/singan.py RUN animate
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfgans import images, models  # noqa: E402
from tfgans.data.single import read  # noqa: E402
from tfgans.errors import BadInput, run_tool  # noqa: E402

FIRST = {"sample": 0, "enlarge": -1, "paint": 1, "harmonize": -2, "edit": -2, "animate": 2}
RADIUS = {"harmonize": 7, "edit": 20}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", help="a release, or a path to a release, run or .keras file")
    add("task", choices=FIRST)
    add("files", nargs="*", metavar="FILE", help="an image; a mask, white at the changes")
    add("--first", type=int, metavar="SCALE", help="first scale to generate; -1 is the finest")
    add("--stretch", type=float, nargs=2, default=(1, 1), metavar=("HEIGHT", "WIDTH"))
    add("--factor", type=float, default=4.0, help="factor of enlarge (default 4)")
    add("--frames", type=int, default=100, help="number of frames of animate (default 100)")
    add("--beta", type=float, default=0.9, help="smoothness of animate (default 0.9)")
    add("-n", type=int, default=4, help="number of samples (default 4)")
    add("--seed", type=int, default=0, help="seed of the noise (default 0)")
    add("--out", default="samples", metavar="DIR", help="folder (default: samples)")
    args = parser.parse_args()
    if len(args.files) != {"paint": 1, "harmonize": 2, "edit": 2}.get(args.task, 0):
        raise BadInput("paint takes an image, harmonize and edit take an image and its mask.")

    model = models.load(args.model)
    if not isinstance(model, models.SinGAN):
        raise BadInput(f"{args.model} is a {type(model).__name__}, not a SinGAN.")
    first, scales = FIRST[args.task] if args.first is None else args.first, len(model.shapes)
    if not -scales <= first < scales:
        raise BadInput(f"{args.model} has the scales 0 to {scales - 1}, not {first}.")
    first %= scales
    pictures = [read(path, model.image.shape[1:])[None] for path in args.files]
    if args.task == "sample":
        result = model.sample(args.n, args.seed, first, args.stretch)
    elif args.task == "enlarge":
        result = model.super_resolve(args.factor, args.seed)
    elif args.task == "paint":
        result = model.inject(pictures[0], first, args.seed)
    elif args.task == "animate":
        result = model.animate(args.frames, first, args.beta, args.seed)
    else:
        mask = pictures[1][0].mean(axis=2) > 0
        result = model.blend(pictures[0], mask, first, RADIUS[args.task], args.seed)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{pathlib.Path(args.model).stem}-{args.task}-seed{args.seed}"
    if args.task == "animate":
        images.save_video(result, path := f"{path}.gif", rate=10)
    else:
        images.save_grid(result, path := f"{path}.png")
    print(f"Written: {path}")


if __name__ == "__main__":
    run_tool(main)
