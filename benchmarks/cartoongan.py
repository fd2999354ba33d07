"""Cartoons of photographs: `python benchmarks/cartoongan.py RUN [RUN ...] [--out cartoongan.png]`.

The runs were trained on the synthetic photographs and cartoons. New scenes are drawn in both forms,
so the right cartoon is known. Printed are, for the photographs and for the cartoons of each run:

- error: the mean distance from the right cartoon (0 to 1);
- outlines: their darkness, beside that of the right ones; it is the brightness that a drawing
  without outlines has there, minus what is found;
- slopes: the mean difference in brightness of neighbors inside of surfaces (0 to 255), 0 if flat.

The picture has rows of photograph, one column for each run, and right cartoon.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from scipy import ndimage  # noqa: E402
from trained import TRAINED_ON, in_parts  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.scenes import SyntheticCartoons, SyntheticScenes  # noqa: E402

DARK = 60  # by how much an outline is darker than the surface, of 255
REACH = 2  # pixels between a surface's inside and the next one


def luma(x):
    """The brightness of images in [-1, 1], 0 to 255."""
    return (x.mean(axis=-1) + 1) * 127.5


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs of cartoongan, or releases")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--out", default="cartoongan.png", help="the picture")
    given = parser.parse_args()
    shape = models.load(given.runs[0]).image_shape
    photo, cartoon, flat = (
        np.stack([source.read(i) for i in range(given.images)]).astype("float32") / 127.5 - 1
        for source in (
            SyntheticCartoons(shape, False, TRAINED_ON, given.images),
            SyntheticCartoons(shape, True, TRAINED_ON, given.images),
            SyntheticScenes(shape, False, TRAINED_ON, given.images),
        )
    )
    outlines = luma(flat) - luma(cartoon) > DARK
    steps = [np.abs(np.diff(luma(flat), axis=axis, append=0)) > 1 for axis in (1, 2)]
    side = 2 * REACH + 1
    inside = ~ndimage.binary_dilation(steps[0] | steps[1], np.ones([1, side, side]))[:, 1:, 1:]
    darkness = np.mean((luma(flat) - luma(cartoon))[outlines])
    columns = [photo]
    print(f"{given.images} images  error  outlines  slopes")
    for run in (None, *given.runs):
        made = photo if run is None else in_parts(models.load(run).cartoon, photo, size=32)
        error = np.mean(np.abs(made - cartoon)) / 2
        dark = np.mean((luma(flat) - luma(made))[outlines]) / darkness
        slopes = np.abs(np.diff(luma(made), axis=1))[:, :, 1:][inside]
        print(f"{run or 'photographs'} {error:.3f} {dark:.1%} {slopes.mean():.1f}")
        if run:
            columns.append(made)
    images.save_grid(images.table(*(x[:8] for x in columns), cartoon[:8]), given.out)
    print(f"Written: {given.out}")


if __name__ == "__main__":
    main()
