"""Finds the latents of images: `python tools/project.py stylegan2-fashion shoe.png --label 9`.

Methods: projector (StyleGAN2: one w and the noise images, 1,000 steps) and image2stylegan (a w for
each layer, 5,000 steps). A stopped search goes on with the same command. Written are:
  latents.npz   ws, and all that is needed to go on
  result.png    each image, the start of the search, the result
  path.gif      the way there (MP4 with ffmpeg)
  morph, style, expression: what --use makes of 2, 2 or 3 images
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402

from tfgans import images, latents, models  # noqa: E402
from tfgans.data.single import read  # noqa: E402
from tfgans.errors import BadInput, run_tool  # noqa: E402

METHODS = {"projector": latents.Projector, "image2stylegan": latents.Image2StyleGAN}
USES = {"morph": 2, "style": 2, "expression": 3}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", help="a release, or a path to a release, run or .keras file")
    add("files", nargs="+", metavar="IMAGE", help="resized to the model's size")
    add("--method", choices=METHODS, default="projector")
    add("--steps", type=int, help="instead of the paper's")
    add("--label", type=int, help="class whose mean w the search starts from, else that of all")
    add("--use", choices=USES, help="expression: a person; another one, neutral, then smiling")
    add("--out", metavar="DIR", help="folder (default: samples/MODEL-METHOD)")
    args = parser.parse_args()
    if args.use and len(args.files) != USES[args.use]:
        raise BadInput(f"--use {args.use} takes {USES[args.use]} images, not {len(args.files)}.")

    space = latents.Space(models.load(args.model), args.label)
    target = np.stack([read(path, space.model.image_shape) for path in args.files])
    stem = f"{pathlib.Path(args.model).stem}-{args.method}"
    out = pathlib.Path(args.out or pathlib.Path("samples") / stem)
    out.mkdir(parents=True, exist_ok=True)
    search = METHODS[args.method](space, target, steps=args.steps)
    print(f"Distance: {search.measure}, mean over {len(target)} images.")

    def show(step, distance):
        print(f"step {step} of {search.steps}: {distance.mean():.5f}", flush=True)

    search.run(out / "latents.npz", every=max(search.steps // 40, 1), show=show)
    found = np.asarray(space.synthesize(search.ws, search.noise))
    path = [np.asarray(space.synthesize(ws, search.noise)) for _, ws, _ in search.history]
    images.save_grid(images.table(target, path[0], found), out / "result.png")
    frames = [np.concatenate([target, image], axis=1) for image in path + path[-1:] * 10]
    video = images.save_video([np.concatenate(list(f), axis=1) for f in frames], out / "path", 10)
    print(f"Written: {out / 'latents.npz'}, {out / 'result.png'}, {video}")
    if args.use:
        ws = search.ws.numpy()
        if args.use == "morph":
            made = [latents.morph(ws[0], ws[1], part) for part in np.linspace(0, 1, 9)]
        elif args.use == "style":
            made = [ws[0], latents.transfer_style(ws[0], ws[1]), ws[1]]
        else:
            made = [latents.transfer_expression(*ws, part) for part in np.linspace(0, 1.5, 7)]
        made = np.asarray(made, "float32")
        images.save_grid(space.images(made), out / f"{args.use}.png", len(made))
        print(f"Written: {out / args.use}.png")


if __name__ == "__main__":
    run_tool(main)
