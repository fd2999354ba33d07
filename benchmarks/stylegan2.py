"""Times training and inference of StyleGAN2, next to the machine's peak and a public peer.

python benchmarks/stylegan2.py [--sizes 32 64 256] [--precision mixed_bfloat16] [--json FILE]
                               [--official CHECKOUT | --no-peer]

Each figure is the median over rounds. A round times ours, the peer and the matrix product for the
peak one after the other, so that a drift of the machine's speed affects all alike.

With --official the peer is NVIDIA's stylegan2-ada-pytorch, from your own checkout (its license is
non-commercial): same networks, losses and schedule of penalties, float32.

Without it the peer is stylegan2-pytorch of PyPI. Image size, batch, channels, length of w (512) and
layers of the mapping network (8) are the same. It differs in: the gradient penalty, on real and
generated images every 4th step, and the path length every 32nd (the paper, and we: real images
every 16th, path length every 4th); hinge loss; bilinear up-sampling without FIR filters; strided
convolutions in the discriminator; no minibatch statistics; averaged weights only every 10th step
after step 20,000. "plain step" has no penalties on either side; "training" has each side's own.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import keras  # noqa: E402
import numpy as np  # noqa: E402
import record  # noqa: E402
import tensorflow as tf  # noqa: E402

import tfgans  # noqa: E402
from tfgans.memory import needed  # noqa: E402

HERE = pathlib.Path(__file__).parent
WIDTH = 128
BATCH = {32: 8, 64: 8, 256: 4}
PEER = "torch==2.13.0 einops fire retry tqdm numpy pillow kornia requests scipy".split()
PEER_ALONE = ("stylegan2-pytorch", "vector-quantize-pytorch==0.1.0", "contrastive-learner")


class Peer:
    """The peer in a process and an environment of its own."""

    def __init__(self, official):
        script = ("official.py", official) if official else ("peer.py",)
        folder = HERE / ".venv-peer"
        if not (folder / "installed").exists():
            python = folder / "bin" / "python"
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [python, "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, *PEER], check=True)
            subprocess.run([*pip, "--no-deps", *PEER_ALONE], check=True)
            (folder / "installed").touch()
        answers, write = os.pipe()
        self.process = subprocess.Popen(
            [folder / "bin" / "python", HERE / script[0], str(write), *script[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[write],
            text=True,
        )
        os.close(write)
        self.answers = os.fdopen(answers)

    def __call__(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = self.answers.readline()
        if not answer:
            sys.exit("The peer has stopped; its message is above. To leave it out, add --no-peer.")
        return float(answer)


class Ours:
    """StyleGAN2 of tfgans at one size, with the calls of `Peer`."""

    def __init__(self, size, base, batch):
        self.model = tfgans.models.get("stylegan2")(
            image_shape=(size, size, 3), channel_base=base, channel_max=WIDTH
        )
        self.model.compile()
        image = tf.random.stateless_uniform([batch, size, size, 3], [0, 0], -1, 1)
        self.data, self.steps = {"image": image}, {}
        graphs = self.model.graphs(self.data)
        for pattern, number in (("both", 0), ("plain", 1), ("path", 4)):  # 0 is due for both
            self.steps[pattern] = graphs[self.model.pattern(number)]
        self.generate = tf.function(self.model.call)
        with tempfile.TemporaryDirectory() as folder:
            self.model.export(folder)
            self.served = tf.saved_model.load(folder)

    def train(self, pattern):
        return seconds_of(self.steps[pattern], self.data)

    def infer(self, batch):
        z = tf.random.normal([batch, self.model.latent_dim])
        start = time.perf_counter()
        self.generate(z).numpy()
        return time.perf_counter() - start

    def serve(self, batch):
        """Times inference with the exported SavedModel."""
        z = tf.random.normal([batch, self.model.latent_dim])
        start = time.perf_counter()
        served = self.served.signatures["serving_default"](z=z, truncation=tf.ones([batch]))
        served["image"].numpy()
        return time.perf_counter() - start

    def operations(self, pattern):
        """Counts the operations of all matrix products and convolutions of a step."""
        return 2 * sum(map(multiplications, needed(self.steps[pattern].graph)))


def seconds_of(step, batch):
    """Returns the seconds of one compiled training step."""
    start = time.perf_counter()
    logs = step(batch)
    np.array(list(logs.values()))  # waits for the end
    return time.perf_counter() - start


def multiplications(op):
    shapes = [tensor.shape for tensor in op.inputs]
    if op.type == "Conv2D":
        (kernel, result) = shapes[1], op.outputs[0].shape
        return result.num_elements() * kernel[0] * kernel[1] * kernel[2]
    if op.type == "Conv2DBackpropInput":
        return shapes[2].num_elements() * shapes[1][0] * shapes[1][1] * shapes[1][2]
    if op.type == "Conv2DBackpropFilter":
        kernel = op.outputs[0].shape
        return shapes[2].num_elements() * kernel[0] * kernel[1] * kernel[2]
    if op.type in ("MatMul", "BatchMatMulV2"):
        flipped = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
        return op.outputs[0].shape.num_elements() * shapes[0][-2 if flipped else -1]
    return 0


def peak(precision, side=2048):
    """Measures operations per second of a large matrix product."""
    a = tf.cast(tf.random.normal([side, side]), precision)
    tf.matmul(a, a)
    start = time.perf_counter()
    for _ in range(4):
        found = tf.matmul(a, a)
    found.numpy()
    return 4 * 2 * side**3 / (time.perf_counter() - start)


def per_period(times):
    """Returns the mean of 16 steps: one with both penalties, three with path length."""
    return (times["both"] + 3 * times["path"] + 12 * times["plain"]) / 16


def per_period_of_peer(times):
    return (times["both"] + 7 * times["r1"] + 24 * times["plain"]) / 32


def rounds(count, calls):
    """Returns the seconds of each call in `count` rounds, after a warm-up of each."""
    for call in calls.values():
        call()
    return [{name: call() for name, call in calls.items()} for _ in range(count)]


def five(call):
    """Returns the median of five: one short call varies too much."""
    return statistics.median(call() for _ in range(5))


def measure(size, precision, peer, official, count):
    """Prints a table row for each measurement, and returns them."""
    batch, base = BATCH[size], min(WIDTH * size, 16384)
    ours = Ours(size, base, batch)
    calls = {f"ours {p}": lambda p=p: ours.train(p) for p in ("plain", "path", "both")}
    calls |= {f"ours infer {n}": lambda n=n: five(lambda: ours.infer(n)) for n in (1, 8)}
    calls |= {f"ours serve {n}": lambda n=n: five(lambda: ours.serve(n)) for n in (1, 8)}
    if peer:
        peer(build=[size, WIDTH, base // size, batch])
        patterns = ("plain", "path" if official else "r1", "both")
        calls |= {f"peer {p}": lambda p=p: peer(train=p) for p in patterns}
        calls |= {f"peer infer {n}": lambda n=n: five(lambda: peer(infer=n)) for n in (1, 8)}
    number = "bfloat16" if precision == "mixed_bfloat16" else "float32"
    calls["peak"] = lambda: 1 / peak(number)
    found = rounds(count, calls)

    def seconds(of, prefix):
        """Returns the seconds of each row in one round."""
        times = {k.removeprefix(prefix): s for k, s in of.items() if k.startswith(prefix)}
        period = per_period if prefix == "ours " or official else per_period_of_peer
        served = [times.get(f"serve {n}", times[f"infer {n}"]) for n in (1, 8)]  # ours only
        return [period(times), times["plain"], times["infer 1"], times["infer 8"], *served]

    work = {pattern: ours.operations(pattern) for pattern in ("plain", "path", "both")}
    generator = ours.generate.get_concrete_function(tf.TensorSpec([1, ours.model.latent_dim]))
    # [1, ...] for static shapes; linear in the batch
    image = 2 * sum(map(multiplications, needed(generator.graph)))
    rows = {
        ("training", batch): per_period(work),
        ("plain step", batch): work["plain"],
        ("inference", 1): image,
        ("inference", 8): 8 * image,
        ("exported", 1): image,
        ("exported", 8): 8 * image,
    }
    middle = {name: statistics.median(times[name] for times in found) for name in calls}
    results = []
    for k, ((what, n), flops) in enumerate(rows.items()):
        mine = [n / seconds(times, "ours ")[k] for times in (middle, *found)]  # images/s
        share = flops * mine[0] / n * middle["peak"]
        result = {"size": size, "what": what, "batch": n, "precision": precision}
        result |= {"images_per_second": mine[0], "share_of_peak": share}
        result |= {"least": min(mine[1:]), "most": max(mine[1:])}
        span = f"({result['least']:.2f} - {result['most']:.2f})"
        line = f"{size:4} {what:11} {n:5} {mine[0]:9.2f} {span:19} {share:8.0%}"
        if peer:
            theirs = [n / seconds(times, "peer ")[k] for times in (middle, *found)]
            ratio, *ratios = (a / b for a, b in zip(mine, theirs, strict=True))
            result |= {"peer": theirs[0], "ratio": ratio, "ratios": ratios}
            line += f" {theirs[0]:9.2f} {ratio:8.2f}x ({min(ratios):.2f} - {max(ratios):.2f})"
        print(line, flush=True)
        results.append(result)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", choices=BATCH, default=list(BATCH))
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--official", metavar="CHECKOUT", help="a folder of stylegan2-ada-pytorch")
    which.add_argument("--no-peer", action="store_true")
    args = parser.parse_args()
    keras.config.set_dtype_policy(args.precision)
    peer = None if args.no_peer else Peer(args.official)
    print(record.machine())
    print(f"{args.precision}; images/s, share of the matrix-multiply peak, ratio to the peer")
    print("medians of rounds, in brackets least and most")
    print(f"size what        batch  images/s {'':19}  of peak    peer's    ratio")
    results = []
    for size in args.sizes:
        results += measure(size, args.precision, peer, args.official, args.rounds)
    record.write(args.json, results)


if __name__ == "__main__":
    main()
