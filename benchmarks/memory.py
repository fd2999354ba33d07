"""Estimates and measures the memory of training processes: `python benchmarks/memory.py`.

Each case trains in a process of its own, on noise images in memory, until it has run every graph.
The measured figure is the largest resident set that Linux reports.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tfgans import memory, training  # noqa: E402
from tfgans.config import Config  # noqa: E402

SMALL = ["model.channel_max=64", "data.batch_size=4"]  # stylegan2 with 64 channels at every level
BATCH = "data.batch_size=16"
LARGE = [*SMALL, "model.channel_base=16384", BATCH]
CASES = {  # name -> configuration, side of the images, steps to train, settings
    "stylegan2-32": ("stylegan2", 32, 6, [*SMALL, "model.channel_base=2048"]),
    "stylegan2-64": ("stylegan2", 64, 6, [*SMALL, "model.channel_base=4096"]),
    "stylegan2-64, batch 16": ("stylegan2", 64, 6, [*SMALL, "model.channel_base=4096", BATCH]),
    "stylegan2-128": ("stylegan2", 128, 6, [*SMALL, "model.channel_base=8192"]),
    "stylegan2-256": ("stylegan2", 256, 5, [*SMALL, "model.channel_base=16384"]),
    "stylegan2-256, batch 16": ("stylegan2", 256, 5, LARGE),
    "stylegan2-256, batch 16, recomputed": (
        "stylegan2",
        256,
        5,
        [*LARGE, "model.recompute_from=32"],
    ),
    "wgan_gp-32": ("wgan_gp", 32, 3, ["data.batch_size=32"]),
    "cyclegan-64": ("cyclegan", 64, 3, ["data.batch_size=2"]),
    "dcgan-64": ("dcgan", 64, 3, ["data.batch_size=64"]),
    "dcgan-64-small": ("dcgan", 64, 2, ["data.batch_size=8"]),
}


def build(case):
    """Returns the compiled model of a case, the specs of its batch, and the number of steps."""
    name, side, steps, changes = CASES[case]
    settings = Config.load(name, changes=[*changes, f"model.image_shape=[{side}, {side}, 3]"])
    model = training.build(settings)
    n = settings.data.batch_size * model.batches_per_step
    words = ("a", "b") if model.data_kind == "unpaired" else ("image",)
    return model, {word: tf.TensorSpec([n, *model.image_shape]) for word in words}, steps


def estimate(case):
    model, batch, _ = build(case)
    return memory.training_memory(model, batch).process


def train(case):
    """Trains in this process; returns its largest resident set in bytes."""
    model, batch, steps = build(case)
    noise = np.random.RandomState(0)
    data = {
        word: noise.uniform(-1, 1, spec.shape).astype("float32") for word, spec in batch.items()
    }
    dataset = tf.data.Dataset.from_tensors(data).repeat()
    model.fit(dataset, steps_per_epoch=steps, shuffle=False, verbose=0)
    # Not from getrusage: its figure for a process starts at that of the parent process.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def measure(case):
    """Runs `train` in a process of its own."""
    command = [sys.executable, __file__, "--train", case]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--train", choices=CASES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train:
        print(json.dumps(train(args.train)))
        return
    print(f"{'case':36} {'estimated GB':>12} {'measured GB':>12} {'ratio':>6}")
    for case in args.cases:
        guess, found = estimate(case), measure(case)
        print(f"{case:36} {guess / 1e9:12.2f} {found / 1e9:12.2f} {guess / found:6.2f}", flush=True)


if __name__ == "__main__":
    main()
