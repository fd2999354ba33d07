"""Images whose class or latent differs from place to place: `python tools/collage.py NAME KIND`.

  classes     one latent; the right side, or the white part of --mask, has the second class
  blend       one class; the right side, or the white part of --mask, is that of another latent

Each row has the plain images left and right, and the collage in the middle.
"""

import argparse
import pathlib

import _start  # noqa: F401
import numpy as np
from PIL import Image

from tfgans import images, labels, latents, models
from tfgans.errors import as_typed, label, run_tool, seed
from tfgans.latents import collage


def weights_of(mask, height, width):
    """[H, W, 2]: the mask's share of white for the second; without a mask a seam in the middle."""
    if mask is None:
        part = np.clip((np.arange(width) + 0.5 - width / 2) / (width / 8) + 0.5, 0.0, 1.0)
        white = np.tile(part, [height, 1])
    else:
        with Image.open(mask) as picture:
            white = np.asarray(picture.convert("L").resize([width, height])) / 255.0
    return np.stack([1.0 - white, white], axis=2)


def arguments():
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", help="a release, or a path to a release, run or .keras file")
    add("kind", choices=["classes", "blend"])
    add("--seeds", type=seed, nargs="+", default=[0, 1, 2, 3], metavar="SEED")
    add("--classes", type=label, nargs=2, default=[0, 1], metavar="CLASS")
    add("--label", type=label, help="class of all images of `blend`")
    add("--mask", metavar="FILE", help="a picture; its white part is the second")
    add("--out", default="samples", metavar="DIR", help="folder (default: samples)")
    return parser


def main():
    args = arguments().parse_args()

    model = models.load(args.model)
    weights = weights_of(args.mask, *model.image_shape[:2])
    if args.kind == "classes":
        classes = [labels.number(model, word) for word in args.classes]
        space = latents.Space(model, classes[0])
        z = space.z(args.seeds)
        middle = collage.translate_classes(space, z, classes, weights)
        sides = [model(z, np.full(len(z), k)) for k in classes]
    else:
        space = latents.Space(model, args.label)
        z = space.z(args.seeds)
        others = np.roll(z, -1, axis=0)  # each seed with the next one
        pairs = np.stack([z, others], axis=1)
        middle = np.stack([collage.blend(space, pair, weights) for pair in pairs])
        sides = [space.images(space.ws(codes)) for codes in (z, others)]
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{pathlib.Path(args.model).stem}-{args.kind}.png"
    images.save_grid(images.table(sides[0], middle, sides[1]), path)
    print(f"Written: {path}")


if __name__ == "__main__":
    run_tool(main)
