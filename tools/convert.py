"""Makes a release from an official checkpoint: `python tools/convert.py ffhq.pkl`.

Reads pickles of StyleGAN2 (in PyTorch or TensorFlow), StyleGAN and ProGAN, folders of BigGAN's
and BigBiGAN's modules of TensorFlow Hub, Hugging Face's pytorch_model.bin of BigGAN-deep, and .pth
files of generators of CycleGAN, pix2pix, pix2pixHD, SPADE (GauGAN) and DeOldify, StarGAN's .ckpt
and UNIT's .pkl. Nothing in the file is run.

A file of CycleGAN holds one direction, A to B. With the file of the other one, --b-to-a FILE, the
release has both; without it, A to B alone. The discriminators of StarGAN and UNIT are in a file of
their own, --discriminator FILE.
"""

import argparse
import pathlib

import _start  # noqa: F401

from tfgans import config, pretrained, storage, use
from tfgans.errors import BadInput, as_typed, command, quoted, run_tool


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    parser.add_argument("file", help="an official .pkl, .bin, .pth, .ckpt or folder")
    parser.add_argument("out", nargs="?", help="release (default: saved_models/<name of the file>)")
    parser.add_argument("--b-to-a", metavar="FILE", help="CycleGAN's other direction")
    parser.add_argument("--discriminator", metavar="FILE", help="that of StarGAN, those of UNIT")
    parser.add_argument("--run", metavar="DIR", help=f"also begin a run for `{command('train')}`")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="changes",
        help="an argument of the model that the file does not hold, such as augment=bgc",
    )
    return parser


def main():
    args = arguments().parse_args()
    changes = {}
    for change in args.changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise BadInput(f"--set takes an argument of the model as key=value, not {change!r}.")
        changes[key] = config.parse(value)

    model = pretrained.load(args.file, args.b_to_a, args.discriminator, **changes)
    out = pathlib.Path(args.out or f"saved_models/{pathlib.Path(args.file).stem}")
    folder = storage.release(model, out.name, out.parent)
    print(f"Written: {folder}, a SavedModel to serve, and {folder / 'model.keras'}. To use it:")
    print(f"  {use.command(model, str(out))}")
    if args.run:
        start = pretrained.begin_run(model, args.run)
        words = [str(start), "--run", args.run]
        print(f"  {command('train')} {quoted(*words)} --data PATH")


if __name__ == "__main__":
    run_tool(main)
