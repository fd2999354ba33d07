"""Metrics during training: keeps the best model and stops a run that no longer improves."""

import pathlib
import time

from tfgans import metrics, storage
from tfgans.callbacks.log import draw_curves, read_rows, write_rows
from tfgans.callbacks.on_tick import OnTick


class Measure(OnTick):
    """Evaluates the model every few ticks, keeps the best one, and stops without improvement.

    It writes metrics.csv, metrics.png, and each complete result to metrics/<step>.json. The model
    with the best value of the first metric is best.keras.

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
        self.model.settle()
        result = self.evaluator(self.model, metrics.describe(self.model, self.run))
        metrics.write_result(result, self.run / "metrics" / f"{step:08}.json")
        values = {f"metrics/{name}": f"{v['mean']:.6g}" for name, v in result["values"].items()}
        row = {"step": step, "images": step * self.batch_size} | values
        self.rows.append(row)
        write_rows(self.rows, self.run / "metrics.csv")
        draw_curves(self.rows, self.run / "metrics.png", "images")
        best = best_row(self.rows, self.settings)
        if best is row:
            storage.save(self.model, self.run / "best.keras")
        seen = "  ".join(f"{name.removeprefix('metrics/')} {v}" for name, v in values.items())
        place = "the best so far" if best is row else f"the best was step {best['step']}"
        print(f"step {step}  {seen}  ({place}; {time.time() - began:.0f} s)", flush=True)
        if no_better(self.rows, self.settings):
            patience, path = self.settings.patience, self.run / "best.keras"
            print(f"Stopping: {patience} evaluations were no better. The best model: {path}")
            self.model.stop_training = True


def best_row(rows, settings):
    """The row of the best evaluation by the first metric; None where no row has it."""
    metric = metrics.METRICS[settings.names[0]]
    for column in (f"metrics/{metric.best}", f"metrics/own_{metric.best}"):
        if rows and column in rows[-1]:
            measured = [row for row in rows if column in row]  # others are from before --force
            return (max if metric.higher else min)(measured, key=lambda row: float(row[column]))
    return None


def no_better(rows, settings):
    """True if the best evaluation is older than the last `patience` ones."""
    if not settings.patience or (best := best_row(rows, settings)) is None:
        return False
    return rows.index(best) < len(rows) - settings.patience
