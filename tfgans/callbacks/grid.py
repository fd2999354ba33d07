"""Pictures of the same latents while a model trains."""

import pathlib

import numpy as np
from PIL import Image

from tfgans import images, random
from tfgans.callbacks.on_tick import OnTick
from tfgans.errors import BadInput
from tfgans.previews import Sound, Video

CLIPS = 8  # real ones that are shown, at most


class SampleGrid(OnTick):
    """Draws `model.preview` of the same batch and latents at each tick: samples/<step>.png.

    A preview that is a text is written to samples/<step>.txt, a `previews.Sound` to
    samples/<step>-0.wav ... with spectrograms in the .png, a `previews.Video` to samples/<step>.gif
    with a strip of frames; both can be played in TensorBoard too.

    Args:
        tick: Steps between pictures.
        folder: Where to put them.
        data: The batch to preview, a dict of arrays.
        seed: Seed of the latents.
        log: The `Log` that writes to TensorBoard, before this in the list of callbacks; or None.
    """

    def __init__(self, tick, folder, data, seed, log=None):
        super().__init__(tick)
        self.folder, self.data, self.seed = pathlib.Path(folder), data, seed
        self.log = log

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        if "image" in self.data:
            images.save_grid(self.data["image"], self.folder / "real.png")
        if "video" in self.data:
            Video(self.data["video"][:CLIPS]).save(self.folder / "real")
        if int(self.model.step.numpy()) == 0:
            self.on_tick(0, {})

    def on_tick(self, step, logs):
        self.model.settle()
        with random.scope(self.seed):
            seen = self.model.preview(self.data)
        if isinstance(seen, str):
            (self.folder / f"{step:08}.txt").write_text(seen, encoding="utf-8")
        elif isinstance(seen, (Sound, Video)):
            seen.save(self.folder / f"{step:08}")
            if self.log:
                with self.log.writer.as_default(step=step):
                    seen.log("preview")
        else:
            images.save_grid(seen, self.folder / f"{step:08}.png")


def sample_grids(run) -> np.ndarray:
    """The pictures of a run from its first to its last, [n, H, W, 3] in [-1, 1].

    Raises:
        BadInput: The folder has none.
    """
    found = sorted((pathlib.Path(run) / "samples").glob("[0-9]*.png"))
    if not found:
        raise BadInput(f"{run} is no run with pictures in samples/.")
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in found]) / 127.5 - 1
