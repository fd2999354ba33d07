"""Times startup and the overhead of `fit`: `python benchmarks/start.py`.

Each figure is the median over several processes:

- import: `import tfgans` after `import tensorflow`;
- first: from the call of the first step to its result, including tracing;
- sample: `tools/sample.py` as a command, from start to end, one image of stylegan2-fashion;
- fit: a step of `fit` with all callbacks of a run, relative to the compiled step alone. Both are
  timed alternately; steps with penalties are left out.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import record

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

HERE = pathlib.Path(__file__).resolve().parent
WIDE = "model.channel_max=128 model.channel_base=16384"  # the setting of benchmarks/stylegan2.py
FIRST = {
    "stylegan2 tiny": "stylegan2 tiny",
    "stylegan2 256": f"stylegan2 - model.image_shape=[256,256,3] {WIDE} data.batch_size=4",
    "wgan_gp tiny": "wgan_gp tiny",
    "cyclegan tiny": "cyclegan tiny",
}
FIT = {"dcgan demo": "dcgan demo", "stylegan2 demo": "stylegan2 demo"}
TARGETS = {
    "import": 1,
    "sample": 10,
    "first stylegan2 tiny": 20,
    "first stylegan2 256": 60,
    "fit dcgan demo": 0.03,
    "fit stylegan2 demo": 0.03,
}
STEPS, WARM = 260, 20


def build(words):
    """Returns a model, its settings and source, and one batch in memory."""
    from tfgans import data, training
    from tfgans.config import Config

    name, section, *changes = words.split()
    section = None if section == "-" else section
    settings = Config.load(name, section, [*changes, "data.path=synthetic"])
    source = training.resolve(settings)
    model = training.build(settings)
    return model, settings, source, next(iter(data.batches(model, source, settings.data, 0)))


def time_import():
    import tensorflow  # noqa: F401

    start = time.perf_counter()
    import tfgans  # noqa: F401

    return time.perf_counter() - start


def time_first(words):
    import numpy as np
    import tensorflow as tf

    model, _, _, batch = build(words)
    step = model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(batch))
    start = time.perf_counter()
    logs = step(batches)
    np.array(list(logs.values()))
    return time.perf_counter() - start


def time_fit(words):
    """Returns the extra time of a step of `fit`, as a share of the compiled step."""
    import keras
    import numpy as np
    import tensorflow as tf

    from tfgans import training

    model, settings, source, batch = build(words)
    settings.train.tick = 10**6
    fit, bare = [], []

    class Clock(keras.callbacks.Callback):
        """Runs and times the compiled step after each step of `fit` and its callbacks."""

        def on_train_begin(self, logs=None):
            graphs = model.graphs(batch)
            self.step = graphs[model.pattern(1)]  # a step that is due for nothing
            self.last = None

        def on_train_batch_end(self, number, logs=None):
            start = time.perf_counter()
            np.array(list(self.step(batch).values()))
            end = time.perf_counter()
            plain = model.pattern(model.now - 1) == model.pattern(1)
            if number >= WARM and plain:
                fit.append(start - self.last)
                bare.append(end - start)
            self.last = end

    with tempfile.TemporaryDirectory() as run:
        watchers = [*training.watch(model, source, settings, pathlib.Path(run)), Clock()]
        dataset = tf.data.Dataset.from_tensors(batch).repeat()
        model.fit(dataset, steps_per_epoch=STEPS, callbacks=watchers, shuffle=False, verbose=0)
    return statistics.median(fit) / statistics.median(bare) - 1


def time_sample():
    with tempfile.TemporaryDirectory() as folder:
        tool = HERE.parent / "tools" / "sample.py"
        command = [sys.executable, tool, "stylegan2-fashion", "-n", "1", "--out", folder]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def in_own_process(*words):
    command = [sys.executable, __file__, "--child", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=("import", "first", "sample", "fit"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        kind, *rest = args.child
        print({"import": time_import, "first": time_first, "fit": time_fit}[kind](*rest))
        return
    calls = {"import": lambda: in_own_process("import"), "sample": time_sample}
    calls |= {f"first {k}": lambda w=w: in_own_process("first", w) for k, w in FIRST.items()}
    calls |= {f"fit {k}": lambda w=w: in_own_process("fit", w) for k, w in FIT.items()}
    rows = []
    print(record.machine())
    print(f"{'':22} median (least - most)   target")
    for name, call in calls.items():
        if args.only and name.split()[0] not in args.only:
            continue
        found = sorted(call() for _ in range(args.repeats))
        target = TARGETS.get(name)
        rows.append({"what": name, "median": statistics.median(found), "all": found})
        rows[-1]["target"] = target
        form = "{:.1%}" if name.startswith("fit") else "{:.2f} s"
        middle, least, most = map(form.format, (rows[-1]["median"], found[0], found[-1]))
        below = f"   < {form.format(target)}" if target else ""
        print(f"{name:22} {middle:>8} ({least} - {most}){below}", flush=True)
    record.write(args.json, rows)


if __name__ == "__main__":
    main()
