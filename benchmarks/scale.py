"""What training StyleGAN2 on many accelerators asks of them: `python benchmarks/scale.py`.

Counts parameters and floating-point operations of the model itself (config F at 1024x1024, traced
and not run) and works out from them the time, the input and the all-reduce of 8, 64 and 512
accelerators. docs/scale.md shows the result and says what the assumptions are worth.
"""

import argparse
import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf  # noqa: E402
from stylegan2 import multiplications, per_period  # noqa: E402

from tfgans import models  # noqa: E402
from tfgans.config import Config  # noqa: E402

IMAGES = 25_000_000  # of the paper's run
V100 = 15.7e12  # operations per second in float32, of the data sheet
PAPER = 8, (9 * 24 + 18) * 3600  # accelerators, and seconds for IMAGES
A100 = 156e12  # in TensorFloat-32
FFHQ = 1.3e6  # bytes of a PNG of 1024x1024: 70,000 take 89 GB


def count(name, batch):
    """Parameters of G and D, and operations per image of each pattern of moves."""
    settings = Config.load(name)
    model = models.get(settings.architecture)(**settings.model)
    model.compile(settings.optimizers)
    parameters = {
        player: sum(math.prod(w.shape) for w in model.weights_of(player))
        for player in model.players()
    }
    data, work = {"image": tf.TensorSpec([batch, *model.image_shape])}, {}
    for pattern, number in (("both", 0), ("plain", 1), ("path", 4)):
        model._now = number
        step = tf.function(model._seeded_train_step, autograph=False)
        graph = step.get_concrete_function(data).graph
        work[pattern] = 2 * sum(map(multiplications, graph.get_operations())) / batch
    return parameters, work


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="stylegan2", help="a configuration of stylegan2")
    parser.add_argument("--share", type=float, help="of the peak that training reaches")
    args = parser.parse_args()
    parameters, work = count(args.name, batch=4)
    image = per_period(work)
    g, d = parameters["generator"], parameters["discriminator"]
    print(f"parameters: generator {g:,}, discriminator {d:,}")
    for pattern, operations in work.items():
        print(f"operations per image, {pattern} moves: {operations / 1e12:.2f} T")
    print(f"operations per image, mean over 16 steps: {image / 1e12:.2f} T")
    many, seconds = PAPER
    share = IMAGES * image / seconds / many / V100
    print(f"the paper's run: {IMAGES / seconds / many:.2f} images/s per V100, {share:.0%} of peak")
    share = args.share or share
    # G moves 1 + 1/4 times per step, D 1 + 1/16 times; a float32 gradient has 4 bytes.
    gradients = 4 * (g * 5 / 4 + d * 17 / 16)
    print(f"gradients per step: {gradients / 1e6:.0f} MB")
    print(f"{'accelerators':>12} {'batch':>6} {'images/s':>8} {'days':>6} {'step s':>6} "
          f"{'PNG MB/s':>8} {'decode cores':>12} {'all-reduce GB/s each':>20}")  # fmt: skip
    for n in (8, 64, 512):
        batch = max(32, 4 * n)
        rate = n * share * A100 / image
        step = batch / rate
        reduce = 2 * (n - 1) / n * gradients / step
        print(f"{n:12} {batch:6} {rate:8.0f} {IMAGES / rate / 86400:6.2f} {step:6.2f} "
              f"{rate * FFHQ / 1e6:8.0f} {rate / 20:12.0f} {reduce / 1e9:20.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
