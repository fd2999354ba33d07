"""How many operations StyleGAN2 takes per image: `python benchmarks/operations.py [NAMES]`.

Traces each configuration and counts the multiplications of all matrix products and convolutions,
two operations each; nothing is run. `--peak` (operations per second) turns them into bounds. Beside
them, how much these products read and write in float32: what is moved at least where everything
element-wise is fused into them.
"""

import argparse
import json
import math
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from stylegan2 import multiplications, per_period  # noqa: E402

from tfgans import models  # noqa: E402
from tfgans.config import Config  # noqa: E402
from tfgans.memory import needed, size  # noqa: E402

PUBLISHED = (
    "stylegan2", "stylegan2-config-e", "stylegan2-512", "stylegan2-256", "stylegan2-paper1024",
    "stylegan2-paper512", "stylegan2-paper256", "stylegan2-auto-128", "stylegan2-auto-64",
    "stylegan2-auto-32", "stylegan2-cifar",
)  # fmt: skip
COLUMNS = ("image", "plain", "path", "both", "training", "bytes")
BATCH = 4  # the group of the minibatch standard deviation


def count(name, changes=()):
    """Parameters and operations per image of one configuration."""
    settings = Config.load(name, changes=list(changes))
    model = models.get(settings.architecture)(**settings.model)
    model.compile(settings.optimizers)
    data = {"image": tf.TensorSpec([BATCH, *model.image_shape])}
    inputs = [tf.TensorSpec([BATCH, model.latent_dim])]
    if model.num_classes:
        data["label"] = tf.TensorSpec([BATCH], "int32")
        inputs.append(tf.TensorSpec([BATCH, model.num_classes]))

    def per_image(function, *inputs):
        """Operations and bytes."""
        graph = tf.function(function, autograph=False).get_concrete_function(*inputs).graph
        products = [op for op in needed(graph) if multiplications(op)]
        moved = sum(size(t) for op in products for t in (*op.inputs, *op.outputs))
        return 2 * sum(map(multiplications, products)) / BATCH, moved / BATCH

    work, moved = {}, {}
    for pattern, number in (("both", 0), ("plain", 1), ("path", 4)):
        model._now = number
        work[pattern], moved[pattern] = per_image(model._seeded_train_step, data)
    sizes = {
        player: sum(math.prod(w.shape) for w in model.weights_of(player))
        for player in ("generator", "discriminator")
    }
    return {
        "name": " ".join([name, *changes]),
        "image_shape": list(model.image_shape),
        "parameters": sizes,
        "image": per_image(lambda *inputs: model(*inputs), *inputs)[0],
        **work,
        "training": per_period(work),
        "bytes": per_period(moved),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=PUBLISHED, help="configurations of stylegan2")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="changes")
    parser.add_argument("--peak", type=float, help="operations per second of your machine")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    args = parser.parse_args()
    rows = []
    print("10^9 operations per image, and bytes; training: the mean over 16 steps")
    print(f"{'':20} {'G, D: 10^6':>11}" + "".join(f"{word:>9}" for word in COLUMNS))
    for name in args.names:
        row = count(name, args.changes)
        keras.backend.clear_session()
        rows.append(row)
        numbers = "".join(f"{row[column] / 1e9:9.2f}" for column in COLUMNS)
        sizes = ", ".join(f"{count / 1e6:.1f}" for count in row["parameters"].values())
        bound = ""
        if args.peak:
            rates = args.peak / row["image"], args.peak / row["training"]
            bound = "  at most {:.3g} and {:.3g} images/s".format(*rates)
        print(f"{name:20} {sizes:>11}{numbers}{bound}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
