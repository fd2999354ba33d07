"""Translates images with a trained model: `python tools/translate.py pix2pix drawings/`.

It writes a PNG for each image, with the input and the result side by side.
"""

import argparse
import pathlib

import _start  # noqa: F401
import tensorflow as tf

from tfgans import images, models
from tfgans.data.convert import prepare
from tfgans.data.files import FolderImages
from tfgans.errors import BadInput, nearest, run_tool, seed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a release, or a path to a release, run or .keras file")
    parser.add_argument("path", help="an image, or a folder of images")
    parser.add_argument(
        "--endpoint", default="serving_default", help="endpoint of the model, such as b_to_a"
    )
    parser.add_argument("--seed", type=seed, help="seed of the noise, if the model has noise")
    parser.add_argument("--single", action="store_true", help="write only the result")
    parser.add_argument("--out", default="translated", metavar="DIR", help="default: translated")
    args = parser.parse_args()

    model, path = models.load(args.model), pathlib.Path(args.path).expanduser()
    offered = {
        name: (function, {spec.name: spec for spec in signature})
        for name, (function, signature) in model.endpoints().items()
        if {spec.name for spec in signature} in ({"image"}, {"image", "seed"})
    }
    endpoint = args.endpoint
    if args.seed is not None and endpoint == "serving_default" and "translate" in offered:
        endpoint = "translate"
    if endpoint not in offered:
        kind = f"endpoint of {type(model).__name__} that translates images"
        raise BadInput(nearest(kind, endpoint, offered))
    function, wanted = offered[endpoint]
    if args.seed is not None and "seed" not in wanted:
        raise BadInput(f"{type(model).__name__} has no noise: leave --seed out.")
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}.")
    source, out = FolderImages(path), pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(source.names):
        before = prepare(source.read(i), source.value_range, wanted["image"].shape[1:])[None]
        given = {"image": before, "seed": tf.constant(args.seed or 0, "int64")}
        after = function(*(given[word] for word in wanted))["image"].numpy()
        picture = after if args.single else images.table(before, after)
        stem = name.rpartition(".")[0].replace("/", "-")
        images.save_grid(picture, out / f"{stem}.png")
    print(f"Written: {len(source)} to {out}")


if __name__ == "__main__":
    run_tool(main)
