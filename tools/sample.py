"""Generates images with a trained model: `python tools/sample.py stylegan2-fashion -n 16`.

Sequences of tokens are printed, one per line. See also `tools/mix.py` for mixed styles, and
`tools/walk.py` for animations and for tables of codes or truncation.
"""

import argparse
import inspect
import pathlib

import _start  # noqa: F401

from tfgans import images, labels, models
from tfgans.data.tokens import to_text
from tfgans.errors import BadInput, as_typed, command, finite, label, quoted, run_tool, seed, whole
from tfgans.models.translation import TranslationModel
from tfgans.previews import Video


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    parser.add_argument("model", help="a release, or a path to a release, run or .keras file")
    parser.add_argument("-n", type=whole(1), default=16, help="number of images (default 16)")
    parser.add_argument("--seed", type=seed, default=0, help="same seed, same images (default 0)")
    parser.add_argument("--truncation", type=finite, metavar="PSI", help="below 1 reduces variety")
    parser.add_argument(
        "--label",
        type=label,
        nargs="+",
        help="class of all images, or one for each: numbers, or names that the data had",
    )
    parser.add_argument(
        "--text", nargs="+", metavar="SENTENCE", help="sentence of all images, or one for each"
    )
    parser.add_argument("--single", action="store_true", help="write one file per image")
    parser.add_argument("--out", default="samples", metavar="DIR", help="folder (default: samples)")
    return parser


def main():
    args = arguments().parse_args()

    model = models.load(args.model)
    if "sample" not in model.endpoints() and not model.condition_dim:
        kind, name = type(model).__name__, quoted(args.model)
        if isinstance(model, TranslationModel):
            raise BadInput(f"{kind} makes images from images: {command('translate')} {name} PATH")
        raise BadInput(f"{kind} samples nothing; it is for this: {command('use')} {name}")
    options = {}
    for option, argument in (("truncation", "truncation"), ("label", "labels")):
        known = inspect.signature(model.sample).parameters
        if getattr(args, option) is not None and argument not in known:
            raise BadInput(f"{type(model).__name__} has no --{option}.")
    if args.text and not hasattr(model, "condition_vectors"):
        raise BadInput(f"{type(model).__name__} has no --text: it reads no sentences.")
    if model.condition_dim and not args.text:
        name = quoted(args.model)
        raise BadInput(
            f'{type(model).__name__} draws what a text says: add --text "a sentence". For '
            f"embeddings: {command('use')} {name} text_to_image condition=FILE.npy seed=0"
        )
    if args.truncation is not None:
        options["truncation"] = args.truncation
    if args.single and (model.data_kind == "tokens" or model.makes == "video"):
        raise BadInput(f"{type(model).__name__} makes no pictures: there is no --single.")
    if model.data_kind == "tokens":
        print(to_text(model.sample(args.n, seed=args.seed)), end="")
        return
    if args.label:
        classes = [labels.number(model, word) for word in args.label]
        options["labels"] = for_each(classes, args.n, "--label takes 1 class")
    if args.text:
        sentences = for_each(args.text, args.n, "--text takes 1 sentence")
        options["condition"] = model.condition_vectors(sentences)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{pathlib.Path(args.model).stem}-seed{args.seed}"
    pictures = model.sample(args.n, seed=args.seed, **options)
    if model.makes == "video":
        for path in Video(pictures).save(out / stem):
            print(f"Written: {path}")
        return
    if args.single:
        for i, picture in enumerate(images.to_uint8(pictures)):
            images.picture(picture).save(path := out / f"{stem}-{i:04}.png")
    else:
        images.save_grid(pictures, path := out / f"{stem}.png")
    print(f"Written: {path}")


def for_each(given, n, wanted):
    """The words of an option for n images: one each, or one for all."""
    if len(given) not in (1, n):
        raise BadInput(f"{wanted} or {n} (-n), not {len(given)}.")
    return (given * n)[:n]


if __name__ == "__main__":
    run_tool(main)
