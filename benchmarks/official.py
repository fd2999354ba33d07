"""Runs NVIDIA's StyleGAN2 for `stylegan2.py` and `gpu.py`, from the user's checkout.

That code (stylegan2-ada-pytorch, or stylegan3 with its StyleGAN2) has its own (non-commercial)
license and is not part of this repository. This script calls its networks and losses as its
training loop does: a phase for each player and each penalty. On a CPU its filters and activations
use plain PyTorch, on a GPU its CUDA kernels. The protocol is that of `peer.py`: one JSON command
per line, answered by one line with seconds, or with the peak of the GPU's memory in bytes.
"""

import copy
import json
import sys
import time

import torch

answers, checkout = sys.argv[1:]
sys.path.insert(0, checkout)
from training.loss import StyleGAN2Loss  # noqa: E402

try:  # stylegan3
    from training.networks_stylegan2 import Discriminator, Generator  # noqa: E402

    NEW = True
except ImportError:
    from training.networks import Discriminator, Generator  # noqa: E402

    NEW = False

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
torch.backends.cudnn.benchmark = True
EMA_DECAY = 0.999
PENALTIES = {"style_mixing_prob": 0.9, "r1_gamma": 10, "pl_weight": 2}
PHASES = {  # phases of one step
    "plain": ("Gmain", "Dmain"),
    "path": ("Gmain", "Greg", "Dmain"),
    "both": ("Gmain", "Greg", "Dmain", "Dreg"),
}


class Trainer:
    def __init__(self, size, width, smallest, batch, half=False):
        self.size, self.batch = size, batch
        channels = {"channel_base": smallest * size, "channel_max": width}
        if half:  # the four finest resolutions in float16
            channels |= {"num_fp16_res": 4, "conv_clamp": 256}
        of_generator = channels if NEW else {"synthesis_kwargs": channels}
        self.generator = Generator(
            512, 0, 512, size, 3, mapping_kwargs={"num_layers": 8}, **of_generator
        ).to(DEVICE)
        self.discriminator = Discriminator(0, size, 3, **channels).to(DEVICE)
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
        parts = {"G": self.generator}
        if not NEW:
            parts = {"G_mapping": self.generator.mapping, "G_synthesis": self.generator.synthesis}
        self.loss = StyleGAN2Loss(device=DEVICE, D=self.discriminator, **parts, **PENALTIES)
        self.images = torch.rand(batch, 3, size, size, device=DEVICE) * 2 - 1
        self.more = {"cur_nimg": 100_000} if NEW else {"sync": True}

    def train(self, phases):
        label = torch.zeros(self.batch, 0, device=DEVICE)
        for phase in phases:
            network, optimizer = self.networks[phase[0]], self.optimizers[phase[0]]
            optimizer.zero_grad(set_to_none=True)
            network.requires_grad_(True)
            self.loss.accumulate_gradients(
                phase=phase,
                real_img=self.images,
                real_c=label,
                gen_z=torch.randn(self.batch, 512, device=DEVICE),
                gen_c=label,
                gain=self.every.get(phase, 1),
                **self.more,
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

    def infer(self, batch):
        z = torch.randn(batch, 512, device=DEVICE)
        with torch.no_grad():
            self.average(z, None, noise_mode="const")


def seconds(function, argument, repeats=1):
    start = time.perf_counter()
    for _ in range(repeats):
        function(argument)
    if GPU:
        torch.cuda.synchronize()
    return time.perf_counter() - start


with open(int(answers), "w", buffering=1) as out:
    for line in sys.stdin:
        command = json.loads(line)
        repeats, answer = command.get("repeats", 1), 0.0
        if "build" in command:
            trainer = Trainer(*command["build"], half=command.get("half", False))
        elif "infer" in command:
            answer = seconds(trainer.infer, command["infer"], repeats)
        elif "train" in command:
            answer = seconds(trainer.train, PHASES[command["train"]], repeats)
        elif GPU:
            answer = torch.cuda.max_memory_allocated()
        out.write(f"{answer}\n")
