"""Uses a trained model in any way it offers: `python tools/use.py MODEL USE INPUT=VALUE ...`.

python tools/use.py MODEL                                   lists the uses and their inputs
python tools/use.py infogan encode image=digits/            arrays, as .npy files
python tools/use.py bigan reconstruct image=faces/
python tools/use.py stylegan2-fashion serving_default z=z.npy label=5 truncation=0.7
python tools/use.py infogan traverse seed=3                 along each row one code varies
python tools/use.py singan sample n=4 stretch=1,2           another aspect ratio
python tools/use.py singan super_resolve factor=4
python tools/use.py singan inject image=drawing.png first=1
python tools/use.py singan blend composite=pasted.png mask=mask.png first=-2 radius=7
python tools/use.py singan animate frames=100
"""

import argparse
import pathlib

import _start  # noqa: F401

from tfgans import models, use
from tfgans.errors import BadInput, as_typed, run_tool


def arguments():
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a release, or a path to a release, run or .keras file")
    parser.add_argument("use", nargs="?", help="one of the uses; without it they are listed")
    parser.add_argument("inputs", nargs="*", metavar="INPUT=VALUE", help="files, numbers, classes")
    parser.add_argument("--out", default="samples", metavar="DIR", help="folder (default: samples)")
    return parser


def main():
    args = arguments().parse_args()

    model = models.load(args.model)
    if not args.use:
        print(use.describe(model))
        return
    words = {}
    for text in args.inputs:
        word, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"An input is written INPUT=VALUE, not {text!r}.")
        words[word] = value
    made, found, stems = use.call(model, args.use, words)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    names = [pathlib.Path(args.model).stem, args.use, *stems[:1]]
    if "seed" in words:
        names.append(f"seed{words['seed']}")
    for file in use.write(made, found, out / "-".join(names)):
        print(f"Written: {file}")


if __name__ == "__main__":
    run_tool(main)
