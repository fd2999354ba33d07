"""Predicted frames against copies of the last one: `python benchmarks/videopred.py RUN [RUN ...]`.

Each run is of a `videopred`. It predicts the next frames of films that no training has seen. For
each frame ahead: PSNR and sharpness of the moving pixels in decibels, means over the films, beside
those of a copy of the last given frame. A run with --set model.power=2
model.difference_weight=0 model.adversarial_weight=0 shows the squared error alone.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import TRAINED_ON  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.motion import SyntheticSquares  # noqa: E402
from tfgans.metrics.prediction import EASY, moving_pixels, psnr, sharpness  # noqa: E402


def films(model, count, ahead):
    """Given frames [n, given, H, W, C] and the next ones [n, ahead, H, W, C] of new films."""
    length = model.given + ahead
    source = SyntheticSquares(model.image_shape[:2], length)
    source.first += TRAINED_ON * 10  # films that no training draws
    video = np.stack([source.read(i, np.arange(length))["video"] for i in range(count)])
    video = video.astype("float32") / 127.5 - 1.0
    return video[:, : model.given], video[:, model.given :]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs, or names of releases")
    parser.add_argument("--films", type=int, default=256)
    parser.add_argument("--ahead", type=int, default=3, help="frames to predict")
    parser.add_argument("--picture", help="a row for each film: truth, copy, each run")
    given = parser.parse_args()
    columns = []
    for run in given.runs:
        model = models.load(run)
        known, true = films(model, given.films, given.ahead)
        made = model.predict_frames(known, given.ahead).numpy()
        copied = np.repeat(known[:, -1:], given.ahead, axis=1)
        columns = columns or [true, copied]
        columns.append(made)
        for name, frames in ((run, made), ("a copy", copied)):
            print(f"{name}:")
            for t in range(given.ahead):
                last = known[:, -1] if t == 0 else true[:, t - 1]
                moving = moving_pixels(last, true[:, t])
                found = psnr(frames[:, t], true[:, t], moving)
                sharp = sharpness(frames[:, t], true[:, t], moving)
                counted = psnr(copied[:, t], true[:, t], moving) < EASY
                square = np.mean(np.square(frames[:, t] - true[:, t])) / 4.0
                print(
                    f"  frame {t + 1}: PSNR {found[counted].mean():.2f}, "
                    f"sharpness {sharp[counted].mean():.2f}, error of all pixels {square:.5f}",
                    flush=True,
                )
    if given.picture:
        rows = np.concatenate([x[:6] for x in columns], axis=1)  # [6, (2 + runs) * ahead, H, W, C]
        images.save_grid(rows, given.picture)


if __name__ == "__main__":
    main()
