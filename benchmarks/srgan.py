"""Enlarged images: `python benchmarks/srgan.py RUN [--out srgan.png]`.

Scenes that no training has seen, or the images of a folder, are reduced four times and enlarged
again: bicubic, by SRResNet and by SRGAN, the two networks of a run. Printed for each:

- PSNR in dB and SSIM of the luma in 0..255, as in the paper: without the outermost 4 pixels, PSNR
  from the mean squared error of each image, averaged over images;
- detail: the mean absolute Laplacian of the luma, as a share of that of the targets;
- features: the distance in the network that the model was trained with.

The picture has rows of bicubic, SRResNet, SRGAN and target.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from trained import in_parts, laplacian, photographs  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.degraded import reduced  # noqa: E402
from tfgans.features import perceptual  # noqa: E402
from tfgans.models.srgan import bicubic  # noqa: E402

CUT = 4  # pixels at each border
LUMA = np.array([[65.481], [128.553], [24.966]], "float32") / 255  # of ITU-R 601, as in MATLAB


def luma(x):
    """RGB images [N, H, W, 3] in [-1, 1] -> luma [N, h, w, 1] in 16..235, without the border."""
    return (16 + (images.to_uint8(x).astype("float32") @ LUMA))[:, CUT:-CUT, CUT:-CUT]


def measure(found, target, look):
    """PSNR, SSIM, detail and distance in features of enlarged images."""
    y, wanted = luma(found), luma(target)
    psnr = np.mean(tf.image.psnr(y, wanted, 255))
    ssim = np.mean(tf.image.ssim(y, wanted, 255))
    detail = laplacian(y) / laplacian(wanted)
    pairs = zip(look(tf.constant(found)), look(tf.constant(target)), strict=True)
    distance = sum(float(tf.reduce_mean((a - b) ** 2)) for a, b in pairs)
    return psnr, ssim, detail, distance


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run of srgan, or name of a release")
    parser.add_argument("--data", help="folder of images; scenes without it")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--out", default="srgan.png", help="the picture")
    given = parser.parse_args()
    model = models.load(given.run)
    target = photographs(given.data, model.image_shape, given.images)
    small = np.stack([reduced(image, 4) for image in target])
    path, build = perceptual.network(model.vgg, ["block5_conv4"])
    look = build(path)

    columns = {
        "bicubic": in_parts(bicubic, small, size=32),
        "SRResNet": in_parts(model.enlarge_smoothly, small, size=32),
        "SRGAN": in_parts(model.enlarge, small, size=32),
        "target": target,
    }
    print(f"{len(target)} images of {model.image_shape}   PSNR   SSIM  detail  features")
    for name, found in columns.items():
        psnr, ssim, detail, distance = measure(found, target, look)
        print(f"{name:>10} {psnr:8.2f} {ssim:7.3f} {detail:7.1%} {distance:9.3f}", flush=True)
    rows = [found[:8] for found in columns.values()]
    images.save_grid(images.table(*rows), given.out)
    print(f"Written: {given.out}")


if __name__ == "__main__":
    main()
