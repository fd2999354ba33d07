"""Finds the latents of images: `python tools/project.py stylegan2-fashion shoe.png --label 9`.

Methods: projector (StyleGAN2: one w and the noise images, 1,000 steps) and image2stylegan (a w for
each layer, 5,000 steps). Ctrl-C saves; the same command continues the search. It writes:
  latents.npz   ws, and the state of the search
  result.png    each image, the start of the search, the result
  path.gif      the images of the search (path.mp4 with --mp4)
  morph.png, style.png, expression.png: results of --use for 2, 2 or 3 images
"""

import argparse
import pathlib

import _start  # noqa: F401
import numpy as np

from tfgans import images, latents, models
from tfgans.callbacks import StopOnSignal
from tfgans.data.single import read
from tfgans.errors import BadInput, again, as_typed, label, run_tool, whole

METHODS = {"projector": latents.Projector, "image2stylegan": latents.Image2StyleGAN}


def arguments():
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", help="a release, or a path to a release, run or .keras file")
    add("files", nargs="+", metavar="IMAGE", help="images; cropped and resized as in training")
    add("--method", choices=METHODS, default="projector")
    add("--steps", type=whole(1), help="number of steps (default: the paper's)")
    add(
        "--vgg",
        metavar="FILE",
        help="weights of VGG16; without --vgg and --lpips, distances compare pixels",
    )
    add(
        "--lpips",
        metavar="FILE",
        help="weights of LPIPS for VGG16, for projector (with one of the two, the other one may "
        "stand in TFGANS_VGG16 or TFGANS_LPIPS)",
    )
    add("--label", type=label, help="start from the mean w of this class (default: of all)")
    add("--use", choices=latents.USES, help="expression: person A, then B neutral and smiling")
    add("--mp4", action="store_true", help='MP4 instead of GIF: pip install "tfgans[video]"')
    add("--out", metavar="DIR", help="folder (default: samples/MODEL-METHOD)")
    return parser


def main():
    args = arguments().parse_args()
    count, use = latents.USES.get(args.use, (len(args.files), None))
    if len(args.files) != count:
        raise BadInput(f"--use {args.use} takes {count} images, not {len(args.files)}.")
    method = METHODS[args.method]
    features = method.features_of(args.vgg, args.lpips) if args.vgg or args.lpips else None
    space = latents.Space(models.load(args.model), args.label)
    target = np.stack([read(path, space.model.image_shape) for path in args.files])
    out = pathlib.Path(args.out or f"samples/{pathlib.Path(args.model).stem}-{args.method}")
    out.mkdir(parents=True, exist_ok=True)
    search = method(space, target, features, args.steps)
    print(f"Distance: {search.measure}, mean over {len(target)} images.")

    def show(step, distance):
        print(f"step {step} of {search.steps}: {distance.mean():.5f}", flush=True)

    signals = StopOnSignal()
    search.run(out / "latents.npz", max(search.steps // 40, 1), show, lambda: signals.stopped)
    signals.give_back()
    if search.step < search.steps:
        print(f"Stopped at step {search.step}; saved. To go on: {again()}")
        return 130
    found = np.asarray(space.synthesize(search.ws, search.noise))
    path = [np.asarray(space.synthesize(ws, search.noise)) for _, ws, _ in search.history]
    images.save_grid(images.table(target, path[0], found), out / "result.png")
    frames = [np.concatenate([target, image], axis=1) for image in path + path[-1:] * 10]
    video = out / ("path.mp4" if args.mp4 else "path.gif")
    images.save_video([np.concatenate(list(f), axis=1) for f in frames], video, 10)
    print(f"Written: {out / 'latents.npz'}, {out / 'result.png'}, {video}")
    if use:
        made = np.asarray(use(*search.ws.numpy()), "float32")
        images.save_grid(space.images(made), out / f"{args.use}.png", len(made))
        print(f"Written: {out / args.use}.png")


if __name__ == "__main__":
    run_tool(main)
