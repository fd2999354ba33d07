"""Callbacks of a training run: progress, sample grids, logs, metrics, snapshots, stopping.

They act at ticks, every `train.tick` steps counted from the first step of the run, so a resumed run
ticks at the same steps as an uninterrupted one. For everything else there is `keras.callbacks`.
"""

from tfgans.callbacks.collapse import CollapseMonitor
from tfgans.callbacks.given import Send, given_callback
from tfgans.callbacks.gradients import gradient_norms
from tfgans.callbacks.grid import SampleGrid, sample_grids
from tfgans.callbacks.log import Log, read_rows
from tfgans.callbacks.measure import Measure, best_row, no_better
from tfgans.callbacks.nan import StopOnNaN
from tfgans.callbacks.on_tick import OnTick
from tfgans.callbacks.progress import Progress
from tfgans.callbacks.snapshot import Snapshot
from tfgans.callbacks.stop import StopOnSignal

__all__ = [
    "CollapseMonitor",
    "Log",
    "Measure",
    "OnTick",
    "Progress",
    "SampleGrid",
    "Send",
    "Snapshot",
    "StopOnNaN",
    "StopOnSignal",
    "best_row",
    "given_callback",
    "gradient_norms",
    "no_better",
    "read_rows",
    "sample_grids",
]
