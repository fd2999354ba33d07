"""Runs the PyPI package stylegan2-pytorch for `stylegan2.py`, in an environment of its own.

It reads one JSON command per line and answers each with one line: seconds. At import the package
needs a GPU, torchvision and aim, but the measured code uses none of them (the two packages read
image files and write logs). So empty modules replace the packages, and moving to the GPU does
nothing.
"""

import functools
import itertools
import json
import sys
import tempfile
import time
import types

import torch

for missing in ("aim", "torchvision", "torchvision.transforms"):
    sys.modules[missing] = types.ModuleType(missing)
sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
torch.cuda.is_available = lambda: True
torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *args: self

from stylegan2_pytorch import stylegan2_pytorch as peer  # noqa: E402

GRADIENT_PENALTY_EVERY, PATH_LENGTH_EVERY = 4, 32  # fixed in the package


def trainer(size, width, smallest, batch):
    """Makes a trainer whose networks have `width` channels, or `smallest` at the finest layer."""
    # The package does not pass the limit to the averaged generator.
    peer.Generator = functools.partial(Generator, fmap_max=width)
    made = peer.Trainer(
        base_dir=tempfile.mkdtemp(),
        image_size=size,
        network_capacity=smallest // 2,
        fmap_max=width,
        batch_size=batch,
    )
    made.init_GAN()
    made.loader = itertools.repeat(torch.rand(batch, 3, size, size))
    made.pl_mean = 0.5
    return made


def train(made, first, count):
    """Returns the seconds of `count` steps, beginning with step number `first`."""
    made.steps = first
    start = time.perf_counter()
    for _ in range(count):
        made.train()
    return time.perf_counter() - start


def infer(made, batch):
    """Returns the seconds to generate `batch` images."""
    gan, layers = made.GAN.eval(), made.GAN.G.num_layers
    start = time.perf_counter()
    with torch.no_grad():
        w = gan.SE(torch.randn(batch, 512))[:, None].expand(-1, layers, -1)
        gan.GE(w, peer.image_noise(batch, made.image_size, 0))
    return time.perf_counter() - start


Generator = peer.Generator
PLAIN, PENALTY, PATH = 6433, 6404, 6432  # step numbers with no penalty, the gradient penalty, both
with open(int(sys.argv[1]), "w", buffering=1) as answers:
    for line in sys.stdin:
        command = json.loads(line)
        if "build" in command:
            model, seconds = trainer(*command["build"]), 0.0
        elif "infer" in command:
            seconds = infer(model, command["infer"])
        else:
            seconds = train(
                model, {"plain": PLAIN, "r1": PENALTY, "both": PATH}[command["train"]], 1
            )
        answers.write(f"{seconds}\n")
