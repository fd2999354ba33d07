"""Trains the classifier own-small of `tfgans.features` on MNIST and Fashion-MNIST.

    python tools/train_own_small.py --mnist FOLDER --fashion FOLDER

Each folder holds the four IDX files of its data set.
"""

import argparse
import json
import pathlib

import _start  # noqa: F401
import keras
import numpy as np
import tensorflow as tf

from tfgans.data.arrays import read_idx
from tfgans.durable import sha256
from tfgans.errors import BadInput, run_tool, whole
from tfgans.features.own_small import SEED, SIDE, WEIGHTS, build, rescale
from tfgans.features.resize import RESIZES


def read(folder, part, first_class):
    """Resized images [N, 32, 32, 1] and their class numbers [N]."""
    arrays = []
    for kind in ("images-idx3", "labels-idx1"):
        found = sorted(pathlib.Path(folder).glob(f"{part}-{kind}-ubyte*"))
        if not found:
            raise BadInput(f"{folder} has no file {part}-{kind}-ubyte.")
        arrays.append(read_idx(found[0]))
    images, labels = arrays
    return RESIZES["clean"](images[..., None], SIDE), labels.astype("int32") + first_class


def arguments():
    parser = argparse.ArgumentParser(description="Trains the classifier own-small.")
    parser.add_argument("--mnist", required=True, help="folder of MNIST's IDX files")
    parser.add_argument("--fashion", required=True, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--out", type=pathlib.Path, default=WEIGHTS, help="the .npz to write")
    parser.add_argument("--epochs", type=whole(1), default=5)
    return parser


def main():
    args = arguments().parse_args()

    sets = {"mnist": (args.mnist, 0), "fashion": (args.fashion, 10)}
    parts = [read(folder, "train", first) for folder, first in sets.values()]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model = build()
    rate = keras.optimizers.schedules.CosineDecay(2e-3, args.epochs * len(images) // 128)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(np.repeat(images, 3, axis=3), labels, batch_size=128, epochs=args.epochs, verbose=2)

    rescale(model, np.repeat(images[::100], 3, axis=3))

    facts = {"seed": SEED, "epochs": args.epochs, "weights": model.count_params()}
    for name, (folder, first) in sets.items():
        images, labels = read(folder, "t10k", first)
        _, accuracy = model.evaluate(np.repeat(images, 3, axis=3), labels, verbose=0)
        facts[f"test accuracy, {name}"] = round(accuracy, 4)
    arrays = {f"{i:02}": np.asarray(w) for i, w in enumerate(model.get_weights())}
    np.savez_compressed(args.out, **arrays)
    facts["sha256"] = sha256(args.out)
    text = json.dumps(facts, indent=2) + "\n"
    args.out.with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    run_tool(main)
