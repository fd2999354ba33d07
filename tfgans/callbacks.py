"""What happens while a model trains: progress, pictures, logs, metrics, snapshots, stopping.

All work in ticks, every `train.tick` steps counted from the very first one, so that a resumed run
ticks at the same steps as an uninterrupted one.
"""

import collections
import csv
import io
import pathlib
import shutil
import signal
import sys
import time

import keras
import matplotlib
import numpy as np
import tensorflow as tf
from scipy.spatial.distance import pdist

from tfgans import durable, images, metrics, random
from tfgans.models import snapshots

matplotlib.use("Agg")


class OnTick(keras.callbacks.Callback):
    """Calls `on_tick(step, logs)` every `tick` steps with the mean of each loss term since then.

    Args:
        tick: Steps between ticks.

    Attributes:
        recent: The logs of each step since the last tick.
    """

    def __init__(self, tick):
        super().__init__()
        self.tick, self.recent = tick, []

    def on_train_batch_end(self, batch, logs=None):
        self.recent.append(logs)
        step = self.model._now  # reading `step` takes a tenth of a millisecond, in each callback
        if step % self.tick == 0:
            self.on_tick(step, self.means())
            self.recent = []

    def means(self):
        names = self.recent[-1]
        return {n: float(np.mean([logs[n] for logs in self.recent if n in logs])) for n in names}

    def on_tick(self, step, logs):
        raise NotImplementedError


class StopOnNaN(OnTick):
    """Ends the training when a loss term or a weight is no longer a number, and names the first.

    It looks before a snapshot is made, so all snapshots are good.
    """

    def on_tick(self, step, logs):
        first = step - len(self.recent) + 1
        for number, terms in enumerate(self.recent, first):
            if bad := [name for name, value in terms.items() if not np.isfinite(value)]:
                self.stop(f"At step {number} the loss was not finite any more: {', '.join(bad)}.")
        # The last step's gradient may have spoiled weights that no loss has met yet.
        weights, networks = self.model.variables, self.model.layers
        names = {id(w): w.path for w in weights}
        names |= {
            id(w): f"{network.name}/{w.path}" for network in networks for w in network.weights
        }
        if bad := [names[id(w)] for w in weights if not is_finite(w)]:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            self.stop(f"After step {step} weights were not finite any more: {bad[0]}{more}.")

    def stop(self, what):
        raise FloatingPointError(
            f"{what} The last snapshot is from before that. Cheap things to try from there: a "
            "lower learning rate, a larger batch, train.precision: float32, train.on_nan: reload; "
            "and `tools/data.py check` finds data that are no numbers."
        )

    def on_train_end(self, logs=None):  # stopped in the middle of a tick
        self.on_tick(int(self.model.step.numpy()), {})


def is_finite(weight):
    return bool(tf.reduce_all(tf.math.is_finite(tf.cast(weight.value, "float32"))))


class Progress(OnTick):
    """A live line: images seen, speed, time left, each loss term. One line per tick in a file.

    Args:
        tick: Steps between lines that stay.
        steps: Length of the run.
        batch_size: Examples per step, over all replicas.
        unit: What an example is, in the plural.
    """

    def __init__(self, tick, steps, batch_size, unit):
        super().__init__(tick)
        self.steps, self.batch_size, self.unit = steps, batch_size, unit
        self.live = sys.stdout.isatty()

    def on_train_begin(self, logs=None):
        self.shown, self.marks = 0.0, collections.deque()  # (time, step) of up to a minute ago

    def on_train_batch_end(self, batch, logs=None):
        now, step = time.time(), self.model._now
        self.marks.append((now, step))
        while now - self.marks[0][0] > 60:
            self.marks.popleft()
        super().on_train_batch_end(batch, logs)
        if self.live and now - self.shown > 0.5 and step % self.tick:
            terms = {name: float(value) for name, value in logs.items()}
            print(f"\r{self.line(step, terms)}\x1b[K", end="", flush=True)
            self.shown = now

    def on_tick(self, step, logs):
        print(f"{chr(13) if self.live else ''}{self.line(step, logs)}", flush=True)
        self.marks.clear()  # pictures and snapshots are not training time

    def line(self, step, terms):
        (start, first), (end, last) = self.marks[0], self.marks[-1]
        speed = (last - first) / max(end - start, 1e-9)  # steps per second
        left = clock((self.steps - step) / speed) if last > first else "?"
        losses = "  ".join(f"{name} {value:.4g}" for name, value in sorted(terms.items()))
        return (
            f"step {step}/{self.steps}  {step * self.batch_size / 1000:.1f}k {self.unit}  "
            f"{speed * self.batch_size:.1f} {self.unit}/s  {left} left  {losses}"
        )


def clock(seconds):
    """Seconds as 4:05 or 3:04:05."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class SampleGrid(OnTick):
    """Draws `model.preview` of the same batch and latents at each tick: samples/<step>.png.

    A preview that is a text is written to samples/<step>.txt.

    Args:
        tick: Steps between pictures.
        folder: Where to put them.
        data: The batch to preview, a dict of arrays.
        seed: Of the latents.
    """

    def __init__(self, tick, folder, data, seed):
        super().__init__(tick)
        self.folder, self.data, self.seed = pathlib.Path(folder), data, seed

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        if "image" in self.data:
            images.save_grid(self.data["image"], self.folder / "real.png")
        if int(self.model.step.numpy()) == 0:
            self.on_tick(0, {})

    def on_tick(self, step, logs):
        with random.scope(self.seed):
            seen = self.model.preview(self.data)
        if isinstance(seen, str):
            (self.folder / f"{step:08}.txt").write_text(seen)
        else:
            images.save_grid(seen, self.folder / f"{step:08}.png")


class Log(OnTick):
    """Writes each tick to log.csv and TensorBoard, and draws curves.png.

    Args:
        tick: Steps between rows.
        run: Folder of the run.
        batch_size: Examples per step, over all replicas.
        unit: What an example is, in the plural.
    """

    def __init__(self, tick, run, batch_size, unit):
        super().__init__(tick)
        self.run, self.batch_size, self.unit = pathlib.Path(run), batch_size, unit

    def on_train_begin(self, logs=None):
        self.began = time.time()
        self.rows = read_rows(self.run / "log.csv", int(self.model.step.numpy()))
        self.seconds = float(self.rows[-1]["seconds"]) if self.rows else 0.0
        self.writer = tf.summary.create_file_writer(str(self.run / "tensorboard"))

    def on_tick(self, step, logs):
        seconds = self.seconds + time.time() - self.began
        row = {"step": step, self.unit: step * self.batch_size, "seconds": round(seconds, 1)}
        self.rows.append(row | {name: f"{value:.6g}" for name, value in sorted(logs.items())})
        write_rows(self.rows, self.run / "log.csv")
        with self.writer.as_default(step=step):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
        self.writer.flush()
        draw_curves(self.rows, self.run / "curves.png", self.unit)


def read_rows(path, step):
    """The rows of a CSV file as dicts of texts, but for those of later steps than `step`.

    Later ones are of steps that a resumed run is about to make again.
    """
    if not path.exists():
        return []
    with open(path, newline="") as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    return [row for row in rows if int(row["step"]) <= step]


def write_rows(rows, path):
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    durable.write_text(path, text.getvalue())


def draw_curves(rows, path, unit):
    """One panel per loss term, over thousands of examples."""
    from matplotlib import pyplot

    names = [n for n in dict.fromkeys(n for row in rows for n in row) if "/" in n]
    columns = min(len(names), 3)
    lines = -(-len(names) // columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(4 * columns, 2.6 * lines), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, names, strict=False):
        points = [(int(row[unit]) / 1000, float(row[name])) for row in rows if name in row]
        axis.plot(*zip(*points, strict=True), marker="." if len(points) < 30 else "")
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(f"thousands of {unit}", fontsize=8)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


class Snapshot(OnTick):
    """Saves everything a run needs to go on: snapshots/<step>.keras; keeps the last few.

    A snapshot appears under its name only when it is whole and on the disk. Beside it lies its
    checksum, <step>.keras.sha256.

    Args:
        tick: Steps between snapshots.
        run: Folder of the run.
        keep: How many to keep.
    """

    def __init__(self, tick, run, keep):
        super().__init__(tick)
        self.run, self.keep = pathlib.Path(run), keep

    def on_tick(self, step, logs):
        save(self.model, self.run / "snapshots" / f"{step:08}.keras")
        for old in snapshots(self.run)[: -self.keep]:
            old.unlink()
        for sums in (self.run / "snapshots").glob("*.sha256"):
            if not sums.with_suffix("").exists():
                sums.unlink()

    def on_train_end(self, logs=None):  # stopped in the middle of a tick, or after the last one
        if self.recent:
            self.on_tick(int(self.model.step.numpy()), {})


def save(model, path):
    """Writes a `.keras` file and its checksum; until both are whole, what was there stays."""
    path = pathlib.Path(path)
    partial = path.parent / "partial"  # Keras may put temporary files beside what it writes
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        written = partial / path.name
        model.save(written)
        durable.write_checksums(written, [written])
        durable.publish(durable.checksums(written), durable.checksums(path))
        durable.publish(written, path)
    finally:
        shutil.rmtree(partial)


class Measure(OnTick):
    """Evaluates the model every few ticks, keeps the best one, stops when it gets no better.

    Writes metrics.csv, metrics.png, and each whole result to metrics/<step>.json; the model that
    was best by the first metric is best.keras.

    Args:
        tick: Steps between ticks.
        run: Folder of the run.
        batch_size: Images per step, over all replicas.
        evaluator: A `tfgans.metrics.Evaluator`.
        settings: The section `metrics` of the configuration.
    """

    def __init__(self, tick, run, batch_size, evaluator, settings):
        super().__init__(tick * settings.every)
        self.run, self.batch_size = pathlib.Path(run), batch_size
        self.evaluator, self.settings = evaluator, settings

    def on_train_begin(self, logs=None):
        self.rows = read_rows(self.run / "metrics.csv", int(self.model.step.numpy()))

    def on_tick(self, step, logs):
        began = time.time()
        result = self.evaluator(self.model, metrics.describe(self.model, self.run))
        metrics.write_result(result, self.run / "metrics" / f"{step:08}.json")
        values = {f"metrics/{name}": f"{v['mean']:.6g}" for name, v in result["values"].items()}
        row = {"step": step, "images": step * self.batch_size} | values
        self.rows.append(row)
        write_rows(self.rows, self.run / "metrics.csv")
        draw_curves(self.rows, self.run / "metrics.png", "images")
        best = best_row(self.rows, self.settings)
        if best is row:
            save(self.model, self.run / "best.keras")
        seen = "  ".join(f"{name.removeprefix('metrics/')} {v}" for name, v in values.items())
        place = "the best so far" if best is row else f"the best was step {best['step']}"
        print(f"step {step}  {seen}  ({place}; {time.time() - began:.0f} s)", flush=True)
        if no_better(self.rows, self.settings):
            patience, path = self.settings.patience, self.run / "best.keras"
            print(f"Stopping: {patience} evaluations were no better. The best model: {path}")
            self.model.stop_training = True


def best_row(rows, settings):
    """The row of the best evaluation by the first metric."""
    metric = metrics.METRICS[settings.names[0]]
    (column,) = {f"metrics/{metric.best}", f"metrics/own_{metric.best}"} & set(rows[-1])
    return (max if metric.higher else min)(rows, key=lambda row: float(row[column]))


def no_better(rows, settings):
    """Whether the last `patience` evaluations were no better than one before."""
    if not rows or not settings.patience:
        return False
    return rows.index(best_row(rows, settings)) < len(rows) - settings.patience


class CollapseMonitor(OnTick):
    """Says plainly when all samples look alike, or the discriminator has won.

    A verdict needs three ticks in a row, and is said once, until it is no longer so.

    Alike: the mean distance of two samples is less than a fifth of that of two real images.
    Won: its loss on real and on generated images is below a hundredth each, in which losses of
    logistic, hinge and least-squares kind are near their end (at chance they are 0.69, 1, and a
    quarter or more). A Wasserstein loss has no such value, so of it nothing is said.

    Args:
        tick: Steps between ticks.
        real: Real images [n, H, W, C] in [-1, 1].
        seed: Of the samples.
    """

    def __init__(self, tick, real, seed):
        super().__init__(tick)
        self.real, self.seed = real, seed
        self.real_distance = mean_distance(real)
        self.ticks = {"alike": 0, "won": 0}

    def on_tick(self, step, logs):
        fake = np.asarray(self.model.sample(len(self.real), seed=self.seed))
        variety = mean_distance(fake) / self.real_distance
        losses = [logs.get(f"discriminator/{side}") for side in ("real", "fake")]
        self.note(
            "alike", step, variety < 0.2,
            f"All samples look alike: they differ {variety:.1%} as much as real images do. "
            "The generator has collapsed, or has not begun. From an earlier snapshot, try a lower "
            "learning rate of it, a larger batch, or more of the discriminator's penalty.",
        )  # fmt: skip
        self.note(
            "won", step, None not in losses and all(0 <= loss < 0.01 for loss in losses),
            "The discriminator has won: it tells real from generated images without error, and "
            "the generator has little to learn from. Try a lower learning rate of the "
            "discriminator, a smaller one, or more of its penalty; with few data, augmentation.",
        )  # fmt: skip

    def note(self, kind, step, bad, verdict):
        self.ticks[kind] = self.ticks[kind] + 1 if bad else 0
        if self.ticks[kind] == 3:
            print(f"step {step}  {verdict}", flush=True)


def mean_distance(images):
    """Mean Euclidean distance of two images, seen at 64 x 64 pixels at most."""
    every = max(1, images.shape[1] // 64)
    return pdist(images[:, ::every, ::every].reshape(len(images), -1)).mean()


class StopOnSignal(keras.callbacks.Callback):
    """Ends the training after the current step on Ctrl-C or SIGTERM; a second one ends it at once.

    Attributes:
        stopped: Whether that happened.
    """

    stopped = False

    def __init__(self):
        super().__init__()
        numbers = (signal.SIGINT, signal.SIGTERM)
        self.before = {number: signal.signal(number, self.stop) for number in numbers}

    def stop(self, number, frame):
        print("\nStopping after this step, to save it. Once more stops at once, unsaved.")
        self.stopped = True
        self.give_back()

    def on_train_batch_end(self, batch, logs=None):
        if self.stopped:
            self.model.stop_training = True

    def give_back(self):
        """Lets signals do again what they did before."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
