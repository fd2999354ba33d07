"""Writes loss terms to a table, to curves and to TensorBoard."""

import csv
import io
import pathlib
import time

import matplotlib
import tensorflow as tf

from tfgans import durable
from tfgans.callbacks.gradients import gradient_norms
from tfgans.callbacks.on_tick import OnTick

matplotlib.use("Agg")


class Log(OnTick):
    """Writes each tick to log.csv and TensorBoard, and draws curves.png.

    Beside the loss terms it logs the norm of each player's gradient (`gradient_norms`) as
    "<player>/gradient", and the model's own `watched` numbers.

    Args:
        tick: Steps between rows.
        run: Folder of the run.
        batch_size: Examples per step, over all replicas.
        unit: Name of the examples, in the plural.
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
        norms = gradient_norms(self.model)
        logs = logs | {f"{player}/gradient": norm for player, norm in norms.items()}
        logs |= self.model.watched()
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
    """The rows of a CSV file up to `step`, as dicts of texts.

    A resumed run repeats the later steps, so their rows are left out.
    """
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
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
    """Draws one panel per loss term; the x-axis counts thousands of examples."""
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
