"""Estimates StyleGAN2's training on many accelerators: `python benchmarks/scale.py`.

It counts parameters and floating-point operations of the model (config F at 1024x1024, traced but
not run) and times the decoding of a PNG here. From these it computes the time, the input and the
all-reduce of 8, 64 and 512 accelerators. docs/scale.md shows and explains the result.
"""

import argparse
import io
import math
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
import scipy.ndimage  # noqa: E402
import tensorflow as tf  # noqa: E402
from PIL import Image  # noqa: E402
from stylegan2 import multiplications, per_period  # noqa: E402

from tfgans import models  # noqa: E402
from tfgans.config import Config  # noqa: E402
from tfgans.memory import needed  # noqa: E402

IMAGES = 25_000_000  # images in the paper's run
V100 = 15.7e12  # operations per second in float32, from the data sheet
PAPER = 8, (9 * 24 + 18) * 3600  # accelerators, and seconds for IMAGES
SUSTAINED = 30e12  # assumption for an accelerator; a fifth of an A100's peak in TensorFloat-32
EACH = 4  # images per accelerator and step, as in the paper


def count(name, batch):
    """Counts parameters of G and D, and operations per image of each pattern of updates."""
    settings = Config.load(name)
    model = models.get(settings.architecture)(**settings.model)
    model.compile(settings.optimizers)
    parameters = {
        player: sum(math.prod(w.shape) for w in model.weights_of(player))
        for player in model.players()
    }
    data, work = {"image": tf.TensorSpec([batch, *model.image_shape])}, {}
    graphs = model.graphs(data)
    for pattern, number in (("both", 0), ("plain", 1), ("path", 4)):
        graph = graphs[model.pattern(number)].graph
        work[pattern] = 2 * sum(map(multiplications, needed(graph))) / batch
    return parameters, work


def decoding():
    """Returns bytes and decoding seconds of a 1024x1024 PNG about as hard as a photograph."""
    noise = np.random.RandomState(0).normal(size=[1024, 1024, 3])
    smooth = 2000 * scipy.ndimage.gaussian_filter(noise, [20, 20, 0])
    pixels = np.clip(128 + smooth + 1.5 * noise, 0, 255).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        np.asarray(Image.open(file))
        seconds.append(time.perf_counter() - start)
    return len(file.getvalue()), sorted(seconds)[4]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="stylegan2", help="a configuration of stylegan2")
    parser.add_argument("--sustained", type=float, default=SUSTAINED, help="operations per second")
    args = parser.parse_args()
    parameters, work = count(args.name, batch=EACH)
    image = per_period(work)
    g, d = parameters["generator"], parameters["discriminator"]
    print(f"parameters: generator {g:,}, discriminator {d:,}")
    for pattern, operations in work.items():
        print(f"operations per image, {pattern} updates: {operations / 1e12:.2f} T")
    print(f"operations per image, mean over 16 steps: {image / 1e12:.2f} T")
    many, seconds = PAPER
    rate = IMAGES / seconds / many
    print(
        f"the paper's run: {rate:.2f} images/s per V100, {rate * image / 1e12:.1f} T operations/s, "
        f"{rate * image / V100:.0%} of peak"
    )
    # G is updated 1 + 1/4 times per step, D 1 + 1/16 times; a float32 gradient has 4 bytes.
    gradients = 4 * (g * 5 / 4 + d * 17 / 16)
    size, decode = decoding()
    step = EACH * image / args.sustained
    print(f"gradients per step: {gradients / 1e6:.0f} MB; step: {step:.2f} s")
    print(
        f"PNG: {size / 1e6:.2f} MB, decoded in {decode * 1000:.0f} ms by one core of this machine"
    )
    print("accelerators batch images/s hours input MB/s cores all-reduce MB per step, GB/s")
    for n in (8, 64, 512):
        rate, reduce = n * EACH / step, 2 * (n - 1) / n * gradients
        print(
            f"{n:12} {n * EACH:5} {rate:8.0f} {IMAGES / rate / 3600:5.1f} {rate * size / 1e6:10.0f}"
            f" {rate * decode:5.0f} {reduce / 1e6:22.0f} {reduce / step / 1e9:5.2f}"
        )


if __name__ == "__main__":
    main()
