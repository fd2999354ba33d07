"""Everything that a run needs to go on, on the disk."""

import pathlib

from tfgans import storage
from tfgans.callbacks.on_tick import OnTick


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
        self.model.settle()
        storage.save(self.model, self.run / "snapshots" / f"{step:08}.keras")
        for old in storage.snapshots(self.run)[: -self.keep]:
            old.unlink()
        for sums in (self.run / "snapshots").glob("*.sha256"):
            if not sums.with_suffix("").exists():
                sums.unlink()

    def on_train_end(self, logs=None):  # stopped in the middle of a tick, or after the last one
        if self.recent:
            self.on_tick(int(self.model.step.numpy()), {})
