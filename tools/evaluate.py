"""Measures a trained model or a folder of images: `python tools/evaluate.py NAME --data PATH`.

Only swd, ms_ssim and polygons work without --extractor. Path lengths (ppl_wend and others) need
LPIPS instead, --vgg and --lpips; --samples is then the number of paths.
"""

import argparse

import _start  # noqa: F401

from tfgans import metrics
from tfgans.errors import BadInput, as_typed, command, finite, run_tool, whole
from tfgans.features.vgg import LPIPS


def arguments():
    parser = argparse.ArgumentParser(description=as_typed(__doc__))
    add = parser.add_argument
    add("subject", nargs="?", help="a release, a run, a .keras file, or a folder of images")
    add("--data", metavar="PATH", help=f'real images, as for `{command("train")}`, or "synthetic"')
    add("--metrics", nargs="+", default=["kid", "fid"], help=", ".join(metrics.METRICS))
    add("--extractor", metavar="NET", help="weights of Inception, a model, or own-small")
    add("--vgg", metavar="FILE", help="weights of VGG16, for ppl_... (or in TFGANS_VGG16)")
    add("--lpips", metavar="FILE", help="weights of LPIPS, for ppl_... (or in TFGANS_LPIPS)")
    add(
        "--samples",
        type=whole(1),
        default=50_000,
        help="number of generated images (default 50,000)",
    )
    add("--seeds", type=whole(1), default=3, help="number of repetitions (default 3)")
    add("--truncation", type=finite, metavar="PSI", help="below 1 reduces variety")
    add("--value-range", nargs=2, type=finite, metavar=("LOW", "HIGH"), help="for float pixels")
    add("--cache", metavar="DIR", help="folder for the features of the real images")
    add("--out", metavar="FILE", help="write the result as JSON")
    add("--compare", nargs=2, metavar="JSON", help="print two results side by side")
    return parser


def main():
    args = arguments().parse_args()

    if args.compare:
        print(metrics.compare(*map(metrics.read_result, args.compare)))
        return
    if not args.subject or not args.data:
        raise BadInput("Give a subject and the real images: NAME --data PATH.")
    result = metrics.evaluate(
        args.subject,
        args.data,
        args.metrics,
        args.extractor,
        args.samples,
        args.seeds,
        args.truncation,
        args.cache,
        args.value_range,
        LPIPS(args.vgg, args.lpips) if args.vgg or args.lpips else None,
    )
    print(metrics.table(result))
    if args.out:
        metrics.write_result(result, args.out)
        print(f"Written: {args.out}")


if __name__ == "__main__":
    run_tool(main)
