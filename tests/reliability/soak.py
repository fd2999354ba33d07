"""Trains, samples and serves for a long time in one process; memory and graphs must not grow.

python tests/reliability/soak.py --minutes 30          training and sampling, then 10,000 calls
"""

import argparse
import gc
import os
import pathlib
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tfgans import callbacks, models, resuming, storage, training  # noqa: E402
from tfgans.config import Config  # noqa: E402
from tfgans.strategy import choose_strategy  # noqa: E402

WARM = 0.3  # share of the samples left out at the start, while allocators fill their pools


def resident() -> float:
    """Memory of this process that is in RAM, in MB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def slope(points) -> float:
    """Returns the slope of a straight line through (x, MB), without the beginning."""
    x, values = np.array(points[int(len(points) * WARM) :]).T
    return float(np.polyfit(x - x[0], values, 1)[0])


class Watch(callbacks.OnTick):
    """Records memory after each step, samples and counts graphs at each tick; stops in time."""

    def __init__(self, tick, seconds):
        super().__init__(tick)
        self.end, self.points, self.graphs = time.monotonic() + seconds, [], []

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self.points.append((time.monotonic(), resident()))
        if time.monotonic() > self.end:
            self.model.stop_training = True

    def on_tick(self, step, logs):
        self.model.sample(8, seed=step)
        gc.collect()
        self.graphs.append(graphs())


def graphs() -> int:
    """The number of live graphs; each compiled function holds some."""
    return sum(isinstance(thing, tf.Graph) for thing in gc.get_objects())


def train(minutes, run) -> str:
    settings = Config.load("stylegan2", "tiny", ["train.steps=100000000", "train.tick=20"])
    source = training.resolve(settings)
    resuming.write_settings(run, settings)
    model = training.build(settings)
    watch = Watch(settings.train.tick, 60 * minutes)
    watchers = [*training.watch(model, source, settings, run), watch]
    dataset = training.batches(choose_strategy(), model, source, settings)
    model.fit(dataset, steps_per_epoch=10**8, callbacks=watchers, shuffle=False, verbose=0)
    (start, first), (end, last) = watch.points[int(len(watch.points) * WARM)], watch.points[-1]
    began = watch.points[0][0]
    return (
        f"{(end - began) / 60:.1f} minutes, "
        f"{int(model.step.numpy())} steps, {len(watch.graphs)} times sampled and saved: "
        f"{first:.0f} MB after {(start - began) / 60:.1f} minutes, {last:.0f} MB at "
        f"the end, slope {3600 * slope(watch.points):+.1f} MB per hour; graphs alive: "
        f"{watch.graphs[0]} after the first tick, {watch.graphs[-1]} at the end"
    )


def serve(calls, threads, run, root) -> str:
    """Exports the model and calls it from many threads; all answers must be those of Keras."""
    model = models.load(run)
    release = storage.release(model, "soak", root)
    serving = tf.saved_model.load(str(release)).signatures["serving_default"]
    draws = np.random.RandomState(0)
    inputs = [
        {
            "z": tf.constant(draws.randn(n, model.latent_dim), "float32"),
            "truncation": tf.constant(draws.rand(n), "float32"),
        }
        for n in (1, 2, 4)
    ]
    wanted = [serving(**given)["image"].numpy() for given in inputs]
    points, different = [], []
    for given, images in zip(inputs, wanted, strict=True):
        ours = model(given["z"], truncation=given["truncation"])
        np.testing.assert_allclose(images, ours, atol=1e-5)

    def call(number):
        k = number % len(inputs)
        if not np.array_equal(serving(**inputs[k])["image"].numpy(), wanted[k]):
            different.append(number)
        if number % 100 == 0:
            points.append((number, resident()))

    began, before = time.monotonic(), graphs()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(call, range(calls)))
    seconds = time.monotonic() - began
    points.sort()
    assert not different, f"{len(different)} of {calls} answers differ"
    return (
        f"{calls:,} calls from {threads} threads in {seconds:.0f} s, all answers equal to the "
        f"first: {points[int(len(points) * WARM)][1]:.0f} MB after {WARM:.0%} of the calls, "
        f"{points[-1][1]:.0f} MB at the end, slope {1000 * slope(points):+.2f} MB per 1,000 calls; "
        f"graphs alive: {before} before, {graphs()} after"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30, help="of training and sampling")
    parser.add_argument("--calls", type=int, default=10_000, help="of the exported model")
    parser.add_argument("--threads", type=int, default=8)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder, "run")
        print("Training:", train(args.minutes, run), flush=True)
        print("Serving:", serve(args.calls, args.threads, run, pathlib.Path(folder, "models")))


if __name__ == "__main__":
    main()
