"""Restored images: `python benchmarks/nogan.py RUN [--data DIR] [--out nogan.png]`.

Scenes that no training has seen, or the images of a folder, are damaged as the run's model has
learned it, and restored by the generator of phase 1 and by that of phase 3. Printed for each:

- PSNR in dB and SSIM, of images in 0..255;
- detail: the mean absolute Laplacian of the luma, as a share of that of the clean images;
- chroma: the mean distance of the colors from gray, likewise;
- features: the distance in the network that the model was trained with.

The picture has rows of damaged, after phase 1, after phase 3, clean.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from trained import in_parts, laplacian, photographs  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.convert import to_channels  # noqa: E402
from tfgans.data.degraded import degraded  # noqa: E402
from tfgans.features import perceptual  # noqa: E402
from tfgans.models.nogan import LAYERS, luma  # noqa: E402


def measure(found, target, look):
    """PSNR, SSIM, detail, chroma and distance in features of images [N, H, W, 3] in [-1, 1]."""
    pairs = zip(look(tf.constant(found)), look(tf.constant(target)), strict=True)
    return (
        np.mean(tf.image.psnr(found, target, 2.0)),
        np.mean(tf.image.ssim(found, target, 2.0)),
        laplacian(luma(found).numpy()) / laplacian(luma(target).numpy()),
        np.mean(np.abs(found - luma(found))) / np.mean(np.abs(target - luma(target))),
        sum(float(tf.reduce_mean(tf.abs(a - b))) for a, b in pairs),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run of nogan, or name of a release")
    parser.add_argument("--data", help="folder of images; scenes without it")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rows", type=int, default=8, help="rows of the picture")
    parser.add_argument("--out", default="nogan.png", help="the picture")
    given = parser.parse_args()
    model = models.load(given.run)
    target = photographs(given.data, model.image_shape, given.images)
    random = np.random.default_rng(0)
    damaged = np.stack([to_channels(degraded(model.damage, x, random)[0], 3) for x in target])
    path, build = perceptual.network(model.vgg, LAYERS, "VGG16")
    look = build(path)
    columns = {
        model.damage: damaged,
        "phase 1": in_parts(model.restore_alone, damaged, size=16),
        "phase 3": in_parts(model.restore, damaged, size=16),
        "clean": target,
    }
    print(f"{len(target)} images of {model.image_shape}  PSNR   SSIM  detail  chroma  features")
    for name, found in columns.items():
        psnr, ssim, detail, chroma, distance = measure(found.astype("float32"), target, look)
        print(
            f"{name:>10} {psnr:8.2f} {ssim:7.3f} {detail:7.1%} {chroma:7.1%} {distance:9.3f}",
            flush=True,
        )
    rows = [found[: given.rows] for found in columns.values()]
    images.save_grid(images.table(*rows), given.out)
    print(f"Written: {given.out}")


if __name__ == "__main__":
    main()
