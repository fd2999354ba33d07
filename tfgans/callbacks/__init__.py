"""What happens while a model trains: progress, pictures, logs, metrics, snapshots, stopping.

All work in ticks, every `train.tick` steps counted from the very first one, so that a resumed run
ticks at the same steps as an uninterrupted one. The rest is `keras.callbacks`.
"""

from tfgans.callbacks.collapse import CollapseMonitor
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
    "Snapshot",
    "StopOnNaN",
    "StopOnSignal",
    "best_row",
    "gradient_norms",
    "no_better",
    "read_rows",
    "sample_grids",
]
