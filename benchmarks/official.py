"""Runs NVIDIA's stylegan2-ada-pytorch for `stylegan2.py`, from the user's checkout.

That code has its own (non-commercial) license and is not part of this repository. This script calls
its networks and losses as its training loop does: a phase for each player and each penalty. On the
CPU its filters and activations use plain PyTorch. The protocol is that of `peer.py`: one JSON
command per line, answered by one line with seconds.
"""

import copy
import json
import sys
import time

import torch

answers, checkout = sys.argv[1:]
sys.path.insert(0, checkout)
from training.loss import StyleGAN2Loss  # noqa: E402
from training.networks import Discriminator, Generator  # noqa: E402

EMA_DECAY = 0.999
PHASES = {  # phases of one step
    "plain": ("Gmain", "Dmain"),
    "path": ("Gmain", "Greg", "Dmain"),
    "both": ("Gmain", "Greg", "Dmain", "Dreg"),
}


class Trainer:
    def __init__(self, size, width, smallest, batch):
        self.size, self.batch = size, batch
        channels = {"channel_base": smallest * size, "channel_max": width}
        self.generator = Generator(
            512, 0, 512, size, 3, mapping_kwargs={"num_layers": 8}, synthesis_kwargs=channels
        )
        self.discriminator = Discriminator(0, size, 3, **channels)
        self.average = copy.deepcopy(self.generator).eval()
        networks = {"G": self.generator, "D": self.discriminator}
        self.optimizers = {}
        for letter, every in (("G", 4), ("D", 16)):
            networks[letter].requires_grad_(False)
            c = every / (every + 1)
            self.optimizers[letter] = torch.optim.Adam(
                networks[letter].parameters(), lr=0.002 * c, betas=(0.0, 0.99**c), eps=1e-8
            )
        self.networks, self.every = networks, {"Greg": 4, "Dreg": 16}
        self.loss = StyleGAN2Loss(
            device=torch.device("cpu"),
            G_mapping=self.generator.mapping,
            G_synthesis=self.generator.synthesis,
            D=self.discriminator,
        )
        self.images = torch.rand(batch, 3, size, size) * 2 - 1

    def train(self, phases):
        start = time.perf_counter()
        label = torch.zeros(self.batch, 0)
        for phase in phases:
            network, optimizer = self.networks[phase[0]], self.optimizers[phase[0]]
            optimizer.zero_grad(set_to_none=True)
            network.requires_grad_(True)
            self.loss.accumulate_gradients(
                phase=phase,
                real_img=self.images,
                real_c=label,
                gen_z=torch.randn(self.batch, 512),
                gen_c=label,
                sync=True,
                gain=self.every.get(phase, 1),
            )
            network.requires_grad_(False)
            for weight in network.parameters():
                if weight.grad is not None:
                    torch.nan_to_num(weight.grad, nan=0, posinf=1e5, neginf=-1e5, out=weight.grad)
            optimizer.step()
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
            for average, weight in pairs:
                average.copy_(weight.lerp(average, EMA_DECAY))
        return time.perf_counter() - start

    def infer(self, batch):
        z = torch.randn(batch, 512)
        start = time.perf_counter()
        with torch.no_grad():
            self.average(z, None, noise_mode="const")
        return time.perf_counter() - start


with open(int(answers), "w", buffering=1) as out:
    for line in sys.stdin:
        command = json.loads(line)
        seconds = 0.0
        if "build" in command:
            trainer = Trainer(*command["build"])
        elif "infer" in command:
            seconds = trainer.infer(command["infer"])
        else:
            seconds = trainer.train(PHASES[command["train"]])
        out.write(f"{seconds}\n")
