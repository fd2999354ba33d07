"""Finds a picture in a generator, and changes it by strokes: `tools/repaint.py NAME IMAGE`.

  --strokes FILE   the picture with something painted on it: a PNG with transparency, of which the
                   opaque pixels count, or a copy of IMAGE, of which the changed pixels count

An encoder that begins as the discriminator learns to name the latents of the generator's own
images; gradient descent goes on from its answer. It writes <out>/inversion.png: the picture, the
encoder's answer, the result; and with strokes <out>/repaint.png: the found image, the strokes, the
edited image. <out>/encoder.keras, or encoder-LABEL.keras for a class, is used again if it exists.
"""

import argparse
import pathlib

import _start  # noqa: F401
import keras
import numpy as np

from tfgans import images, latents, models
from tfgans.data.convert import prepare
from tfgans.data.single import OneFile, existing, read
from tfgans.errors import BadInput, as_typed, finite, label, run_tool, whole
from tfgans.latents.inversion import Encoder, Inversion, Repaint

CHANGED = 0.1  # difference of a painted pixel in [-1, 1], in some channel


def mask_of(path, painted, image):
    """Where something is painted, [1, H, W, 1]."""
    source = OneFile(existing(path))
    if source.shape[2] in (2, 4):  # cropped, turned and resized as the colors
        alpha = prepare(source.read(0), source.value_range, (*image.shape[1:3], 4))[..., 3:]
        mask = alpha[None] > 0
    else:
        mask = np.abs(painted - image).max(axis=3, keepdims=True) > CHANGED
    if not mask.any():
        raise BadInput(
            f"Nothing is painted in {path}. Wanted: a PNG with transparency, whose opaque pixels "
            "count, or a changed copy of the picture."
        )
    return mask.astype("float32")


def arguments():
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", help="a release, or a path to a release, run or .keras file")
    add("file", metavar="IMAGE", help="a picture; cropped and resized as in training")
    add("--strokes", metavar="FILE", help="the picture with something painted on it")
    add("--label", type=label, help="class, for a model with classes")
    add("--encoder-steps", type=whole(1), default=2000, help="training (default: 2000)")
    add("--steps", type=whole(1), default=200, help="steps of each search (default: 200)")
    add("--keep", type=finite, default=0.01, help="weight of the old latent (default: 0.01)")
    add("--realism", type=finite, default=0.0, help="weight of D's score (default: 0)")
    add("--out", metavar="DIR", help="folder (default: samples/MODEL-repaint)")
    return parser


def main():
    args = arguments().parse_args()

    space = latents.Space(models.load(args.model), args.label)
    image = read(args.file, space.model.image_shape)[None]
    if args.strokes:
        painted = read(args.strokes, space.model.image_shape)[None]
        mask = mask_of(args.strokes, painted, image)
    out = pathlib.Path(args.out or f"samples/{pathlib.Path(args.model).stem}-repaint")
    out.mkdir(parents=True, exist_ok=True)
    encoder = Encoder(space, args.encoder_steps)
    file = out / ("encoder.keras" if space.label is None else f"encoder-{space.label}.keras")
    if file.exists():
        encoder.network.set_weights(keras.saving.load_model(file, compile=False).get_weights())
    else:

        def show(step, terms):
            words = "  ".join(f"{name} {value:.4f}" for name, value in terms.items())
            print(f"encoder, step {step} of {encoder.steps}: {words}", flush=True)

        encoder.train(show, max(args.encoder_steps // 10, 1)).network.save(file)
    search = Inversion(space, image, encoder, steps=args.steps).run(every=args.steps)
    (_, first, before), (_, found, after) = search.history
    print(f"Distance: {search.measure}; {before[0]:.5f} from the encoder, {after[0]:.5f} found.")
    first, found = (space.images(ws) for ws in (first, found))
    images.save_grid(np.concatenate([image, first, found]), out / "inversion.png", 3)
    print(f"Written: {out / 'inversion.png'}")
    if args.strokes:
        edit = Repaint(
            space,
            painted,
            mask,
            search.z.numpy(),
            args.keep,
            args.realism,
            steps=args.steps,
        ).run(every=args.steps)
        shown = mask * painted + (1.0 - mask) * found
        made = space.images(edit.ws)
        images.save_grid(np.concatenate([found, shown, made]), out / "repaint.png", 3)
        print(f"Written: {out / 'repaint.png'}")


if __name__ == "__main__":
    run_tool(main)
