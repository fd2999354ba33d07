"""Counts the operations of a model per example: `python benchmarks/operations.py [NAMES]`.

It traces each configuration and counts two operations for each multiplication of matrix products
and convolutions; nothing is run. `--peak` (operations per second) turns them into bounds on speed.
StyleGAN2 also gets counts for each kind of step, and the float32 bytes that these products read and
write: the least memory traffic, with all element-wise operations fused into them. Other models are
counted in their last stage.
"""

import argparse
import math
import multiprocessing
import os
import pathlib
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import record  # noqa: E402
import tensorflow as tf  # noqa: E402
from models import Steps, operations  # noqa: E402
from stylegan2 import multiplications, per_period  # noqa: E402

from tfgans import models  # noqa: E402
from tfgans.config import Config  # noqa: E402
from tfgans.memory import needed, size  # noqa: E402

PUBLISHED = """
    stylegan2 stylegan2-config-e stylegan2-512 stylegan2-256 stylegan2-paper1024 stylegan2-paper512
    stylegan2-paper256 stylegan2-auto-128 stylegan2-auto-64 stylegan2-auto-32 stylegan2-cifar progan
    progan-cifar sngan-imagenet sngan sngan-cnn wgan_gp cyclegan pix2pix dcgan lsgan began bigan
    bigan-ali infogan improved_gan lapgan fgan gan seqgan singan
    sagan biggan biggan-256 biggan-512 biggan-deep projection acgan
""".split()
COLUMNS = ("training", "image", "plain", "path", "both", "bytes")
BATCH = 4  # the group of the minibatch standard deviation


def count(name, changes=()):
    """Counts trained parameters and operations per example of one configuration."""
    settings = Config.load(name, changes=["data.path=synthetic", *changes])
    found = {"name": " ".join([name, *changes])}
    if settings.architecture == "stylegan2":
        return found | count_stylegan2(settings)
    steps = Steps(settings)
    work = steps.mean({p: operations(step.graph) for p, step in steps.graphs.items()})
    return found | {"parameters": parameters(steps.model), "training": work / steps.examples}


def parameters(model):
    """Returns player -> number of its trained parameters."""
    return {
        player: sum(math.prod(w.shape) for w in model.weights_of(player))
        for player in model.players()
    }


def count_stylegan2(settings):
    """Counts the same, and operations of each kind of step and of generating one image."""
    model = models.get("stylegan2")(**settings.model)
    model.compile(settings.optimizers)
    data = {"image": tf.TensorSpec([BATCH, *model.image_shape])}
    inputs = [tf.TensorSpec([BATCH, model.latent_dim])]
    if model.num_classes:
        data["label"] = tf.TensorSpec([BATCH], "int32")
        inputs.append(tf.TensorSpec([BATCH, model.num_classes]))

    def per_image(step):
        """Operations and bytes of a concrete function."""
        graph = step.graph
        products = [op for op in needed(graph) if multiplications(op)]
        moved = sum(size(t) for op in products for t in (*op.inputs, *op.outputs))
        return 2 * sum(map(multiplications, products)) / BATCH, moved / BATCH

    work, moved, graphs = {}, {}, model.graphs(data)
    for pattern, number in (("both", 0), ("plain", 1), ("path", 4)):
        work[pattern], moved[pattern] = per_image(graphs[model.pattern(number)])
    generate = tf.function(lambda *inputs: model(*inputs), autograph=False)
    return {
        "image_shape": list(model.image_shape),
        "parameters": parameters(model),
        "image": per_image(generate.get_concrete_function(*inputs))[0],
        **work,
        "training": per_period(work),
        "bytes": per_period(moved),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=PUBLISHED, help="configurations")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="changes")
    parser.add_argument("--peak", type=float, help="operations per second of the machine")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    args = parser.parse_args()
    rows = []
    print("10^9 operations per example, and bytes; training: the mean over a period of steps")
    print(f"{'':20} {'trained, 10^6':>13}" + "".join(f"{word:>10}" for word in COLUMNS))
    # A process for each configuration, to free all its memory.
    new = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=new, max_tasks_per_child=1) as pool:
        for name in args.names:
            row = pool.submit(count, name, args.changes).result()
            rows.append(row)
            numbers = "".join(f"{row[word] / 1e9:10.4g}" for word in COLUMNS if word in row)
            trained = sum(row["parameters"].values()) / 1e6
            bound = ""
            if args.peak:
                rates = [f"{args.peak / row[word]:.3g}" for word in COLUMNS[:2] if word in row]
                bound = f"  at most {' and '.join(rates)} examples/s"
            print(f"{name:20} {trained:13.4g}{numbers}{bound}", flush=True)
    record.write(args.json, rows)


if __name__ == "__main__":
    main()
