"""Colored images: `python benchmarks/colorful.py RUN [RUN ...] [--out colorful.png]`.

Scenes that no training has seen are made gray and colored again by each run, such as one with and
one without class rebalancing (`model.uniform_share` 0.5 and 1). Printed are, in units of a and b:

- error: the root mean squared distance of the colors;
- balanced: the same with equal weight for the background and the three kinds of surfaces;
- chroma: the mean chroma, as a share of that of the targets.

Also for each surface: the share of its pixels whose color is nearer to that surface's mean than to
the three others'. The picture has rows of gray, one column for each run, and target.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import TRAINED_ON, in_parts  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.degraded import lightness  # noqa: E402
from tfgans.data.scenes import FLAT, GROUND, SyntheticScenes  # noqa: E402
from tfgans.ops.lab import rgb_to_lab  # noqa: E402

SURFACES = ("ground", "stripes", "checkers", "shades")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs of colorful, or releases")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--out", default="colorful.png", help="the picture")
    given = parser.parse_args()
    shape = models.load(given.runs[0]).image_shape
    scenes, flat = (
        np.stack([source.read(i) for i in range(given.images)])
        for source in (
            SyntheticScenes(shape, textured, TRAINED_ON, given.images) for textured in (True, False)
        )
    )
    kinds = np.argmin([np.abs(flat - np.array(c)).sum(axis=-1) for c in (GROUND, *FLAT)], axis=0)
    target = (scenes / 127.5 - 1).astype("float32")
    gray = np.stack([lightness(image) for image in target])
    wanted = rgb_to_lab(target).numpy()[..., 1:]
    means = np.stack([wanted[kinds == k].mean(axis=0) for k in range(4)])
    columns = [gray[:8]]
    print(f"{given.images} images     error  balanced  chroma  " + "  ".join(SURFACES))
    for run in given.runs:
        model = models.load(run)
        made = in_parts(model.colorize, gray, size=32)
        found = rgb_to_lab(made).numpy()[..., 1:]
        squares = np.sum((found - wanted) ** 2, axis=-1)
        balanced = np.mean([squares[kinds == k].mean() for k in range(4)])
        chroma = [np.linalg.norm(x, axis=-1).mean() for x in (found, wanted)]
        nearest = np.argmin([np.sum((found - m) ** 2, axis=-1) for m in means], axis=0)
        right = [f"{np.mean(nearest[kinds == k] == k):.1%}" for k in range(4)]
        print(
            f"{run} {squares.mean() ** 0.5:9.2f} {balanced**0.5:9.2f} {chroma[0] / chroma[1]:7.1%}",
            *right,
            flush=True,
        )
        columns.append(made[:8])
    images.save_grid(images.table(*columns, target[:8]), given.out)
    print(f"Written: {given.out}")


if __name__ == "__main__":
    main()
