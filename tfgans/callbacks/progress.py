"""The progress line of a training."""

import collections
import sys
import time

from tfgans.callbacks.on_tick import OnTick


class Progress(OnTick):
    """Prints images seen, speed, time left and loss terms: live, and in a file one line per tick.

    Args:
        tick: Steps between lines that stay.
        steps: Length of the run.
        batch_size: Examples per step, over all replicas.
        unit: Name of the examples, in the plural.
    """

    def __init__(self, tick, steps, batch_size, unit):
        super().__init__(tick)
        self.steps, self.batch_size, self.unit = steps, batch_size, unit
        self.live = sys.stdout.isatty()

    def on_train_begin(self, logs=None):
        self.shown, self.marks = 0.0, collections.deque()  # (time, step) of the last minute

    def on_train_batch_end(self, batch, logs=None):
        now, step = time.time(), self.model.now
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
        self.marks.clear()  # sample grids and snapshots do not count as training time

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
