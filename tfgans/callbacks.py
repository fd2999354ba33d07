"""What happens while a model trains: the progress line, pictures, logs, snapshots, stopping.

All work in ticks, every `train.tick` steps counted from the very first one, so that a resumed run
ticks at the same steps as an uninterrupted one.
"""

import csv
import os
import pathlib
import shutil
import signal
import sys
import time

import keras
import matplotlib
import numpy as np
import tensorflow as tf

from tfgans import durable, images, random
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
        step = int(self.model.step.numpy())
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
        self.shown, self.marks = 0.0, []  # (time, step) of up to a minute ago

    def on_train_batch_end(self, batch, logs=None):
        now, step = time.time(), int(self.model.step.numpy())
        self.marks = [mark for mark in self.marks if now - mark[0] < 60] + [(now, step)]
        super().on_train_batch_end(batch, logs)
        if self.live and now - self.shown > 0.5 and step % self.tick:
            terms = {name: float(value) for name, value in logs.items()}
            print(f"\r{self.line(step, terms)}\x1b[K", end="", flush=True)
            self.shown = now

    def on_tick(self, step, logs):
        print(f"{chr(13) if self.live else ''}{self.line(step, logs)}", flush=True)
        self.marks = []  # pictures and snapshots are not training time

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
        self.rows = []
        if (self.run / "log.csv").exists():
            with open(self.run / "log.csv", newline="") as file:
                rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
            # Rows of steps that this run is about to make again are dropped.
            self.rows = [row for row in rows if int(row["step"]) <= int(self.model.step.numpy())]
        self.seconds = float(self.rows[-1]["seconds"]) if self.rows else 0.0
        self.writer = tf.summary.create_file_writer(str(self.run / "tensorboard"))

    def on_tick(self, step, logs):
        seconds = self.seconds + time.time() - self.began
        row = {"step": step, self.unit: step * self.batch_size, "seconds": round(seconds, 1)}
        self.rows.append(row | {name: f"{value:.6g}" for name, value in sorted(logs.items())})
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        partial = self.run / "log.csv.partial"
        with open(partial, "w", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(self.rows)
        os.replace(partial, self.run / "log.csv")
        with self.writer.as_default(step=step):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
        self.writer.flush()
        draw_curves(self.rows, self.run / "curves.png", self.unit)


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
