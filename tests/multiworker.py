"""Two processes train as two machines would: `python tests/multiworker.py`, ten minutes.

Too long for pytest, which runs one small case (`test_distribution.py`). The figures of the last run
are in docs/scale.md. Each worker runs the real `tools/train.py`; around it this file looks at what
the training step is given, and at the weights in the end. Checked are:

- the weights, averages and states of the optimizers are equal on both workers, bit for bit (but the
  moving averages of batch normalization, which each device keeps for itself);
- the steps saw each example of the data once in each pass, counted where they are used;
- only the first worker writes files;
- a worker is killed with SIGKILL, then the other one too ends, with one line; both are started
  again by a loop, as docs/scale.md says, and end with the weights of the undisturbed run.
"""

import argparse
import hashlib
import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

TRAIN = pathlib.Path(__file__).parent.parent / "tools" / "train.py"
EXAMPLES = 40
MODELS = {"stylegan2": ["image"], "wgan_gp": ["image"], "cyclegan": ["a", "b"]}
END = "report.json"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--worker", metavar="NAME", help=argparse.SUPPRESS)
    args, rest = parser.parse_known_args()
    if args.worker:
        return work(args.worker, rest)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in args.models:
            kinds = MODELS[name]
            data = make_data(folder / f"data-{name}", kinds)
            whole = Cluster(name, data, folder / name)
            whole.train()
            whole.check(kinds)
            for victim in (0, 1) if name == "stylegan2" else ():
                disturbed = Cluster(name, data, folder / f"{name}-{victim}", shared=True)
                disturbed.train(victim)
                assert disturbed.digests() == whole.digests(), "other weights after the kill"
                print(f"{name}: the same weights after worker {victim} was killed", flush=True)


def make_data(folder, kinds):
    """Image number i has the gray level 6 i everywhere."""
    for kind in kinds:
        place = folder / {"image": "", "a": "trainA", "b": "trainB"}[kind]
        place.mkdir(parents=True)
        for i in range(EXAMPLES):
            Image.new("RGB", (16, 16), (6 * i,) * 3).save(place / f"{i:02}.png")
    return folder


class Cluster:
    """Two workers; each in a folder of its own, or `shared` where they must see the snapshots."""

    def __init__(self, name, data, folder, shared=False):
        self.name, self.folder, self.steps = name, folder, 20
        self.places = [folder / str(index) for index in (0, 1)]
        for place in self.places:
            place.mkdir(parents=True)
        run = folder / "run" if shared else "run"
        self.arguments = [
            *(name, "--tiny", "--data", data, "--run", run, "--strategy", "multiworker"),
            *("--set", "train.steps=20", "--set", "train.tick=5"),
        ]
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.cluster = {"worker": [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]}
        for s in sockets:
            s.close()

    def start(self, index):
        task = {"cluster": self.cluster, "task": {"type": "worker", "index": index}}
        return subprocess.Popen(
            [sys.executable, __file__, "--worker", self.name, *map(str, self.arguments)],
            cwd=self.places[index],
            env=os.environ | {"TF_CONFIG": json.dumps(task)},
            stdout=open(self.folder / f"{index}.txt", "a"),
            stderr=subprocess.STDOUT,
        )

    def train(self, victim=None):
        """Starts each worker, and again whenever it ends before the end of the training."""
        began, starts = time.time(), [1, 1]
        workers = [self.start(0), self.start(1)]
        while None in (codes := [worker.poll() for worker in workers]) or any(codes):
            time.sleep(0.2)
            if victim is not None and (self.folder / "run/snapshots/00000010.keras").exists():
                workers[victim].send_signal(signal.SIGKILL)
                killed, victim = time.time(), None
            for index, code in enumerate(codes):
                if code:
                    print(f"  worker {index} ended with {code} after {time.time() - began:.0f} s")
                    assert sum(starts) < 10, (self.folder / f"{index}.txt").read_text()
                    workers[index] = self.start(index)
                    starts[index] += 1
        text = f"{self.name}: {self.steps} steps in {time.time() - began:.0f} s"
        if sum(starts) > 2:
            text += f", {time.time() - killed:.0f} s from the kill to the end, starts {starts}"
        print(text, flush=True)

    def reports(self):
        return [json.loads((place / END).read_text()) for place in self.places]

    def digests(self):
        return [report["digest"] for report in self.reports()]

    def check(self, kinds):
        first, second = self.reports()
        assert first["digest"] == second["digest"], "the workers hold different weights"
        for kind in kinds:
            # For each step the part of one worker, then that of the other.
            pairs = zip(first["seen"][kind], second["seen"][kind], strict=True)
            seen = np.array([part for pair in pairs for part in pair]).ravel()
            passes = len(seen) // EXAMPLES
            for k in range(passes):
                once = np.sort(seen[k * EXAMPLES : (k + 1) * EXAMPLES])
                np.testing.assert_array_equal(once, np.arange(EXAMPLES))
            assert passes >= 1
            print(f"{self.name}: {kind}: {passes} passes, each of {EXAMPLES} examples once in each")
        files = [sorted(path.name for path in place.iterdir()) for place in self.places]
        assert files == [[END, "run", "saved_models"], [END]], files
        print(f"{self.name}: equal weights {first['digest'][:12]}; only the first worker wrote")


def work(name, arguments):
    """One worker: the tool itself, with an eye on what its steps are given and what comes out."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    from tfgans import models, training

    model_class = models.get(name)
    seen = {kind: [] for kind in MODELS[name]}
    step, watch = model_class.train_step, training.watch

    def train_step(self, data):
        for kind in seen:
            # Returns a number: TensorFlow runs functions without results in no order.
            tf.py_function(lambda x, kind=kind: note(kind, x.numpy()), [data[kind]], tf.int32)
        return step(self, data)

    def note(kind, images):
        seen[kind].append(np.rint((images[:, 0, 0, 0] + 1) * 127.5 / 6).astype(int).tolist())
        return 0

    class Report(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            variables = [v for v in self.model.variables if "moving" not in v.path]
            for optimizer in self.model.optimizers.values():
                variables += optimizer.variables
            digest = hashlib.sha256(b"".join(v.numpy().tobytes() for v in variables)).hexdigest()
            pathlib.Path(END).write_text(json.dumps({"digest": digest, "seen": seen}))

    model_class.train_step = train_step
    training.watch = lambda *args: [*watch(*args), Report()]
    sys.argv = [str(TRAIN), *arguments]
    runpy.run_path(str(TRAIN), run_name="__main__")


if __name__ == "__main__":
    main()
