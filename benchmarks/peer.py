"""Runs stylegan2-pytorch, the package of PyPI, for `stylegan2.py`; has an environment of its own.

Reads one JSON command per line, answers with one line: seconds. The package asks for a GPU, for
torchvision and for aim when it is imported, and uses none of them in what is measured here (the two
packages read image files and write logs), so they are replaced by empty modules and moving to the
GPU by nothing.
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
    """A trainer whose networks have `width` channels, down to `smallest` at the finest layer."""
    # The package forgets the limit where it makes the averaged generator.
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
    """Seconds for `count` steps, the first of which is number `first`."""
    made.steps = first
    start = time.perf_counter()
    for _ in range(count):
        made.train()
    return time.perf_counter() - start


def infer(made, batch):
    """Seconds to make `batch` images."""
    gan, layers = made.GAN.eval(), made.GAN.G.num_layers
    start = time.perf_counter()
    with torch.no_grad():
        w = gan.SE(torch.randn(batch, 512))[:, None].expand(-1, layers, -1)
        gan.GE(w, peer.image_noise(batch, made.image_size, 0))
    return time.perf_counter() - start


Generator = peer.Generator
PLAIN, PENALTY, PATH = 6433, 6404, 6432  # numbers of steps that are due for nothing, one, both
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
