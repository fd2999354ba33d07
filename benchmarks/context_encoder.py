"""Filled holes: `python benchmarks/context_encoder.py RUN [RUN ...] [--out context_encoder.png]`.

Holes are made in scenes that no training has seen, those of the region that each run was trained
for, and filled. Printed is the error inside the holes, of images in [0, 1]: mean absolute (L1) and
squared (L2) error in percent, and PSNR in dB; then the same for the mean color in place of an
answer, and for the mean of the pixels around the hole. The picture has rows of hole, answer and
target for each run.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import TRAINED_ON, in_parts  # noqa: E402

from tfgans import data, images, models  # noqa: E402
from tfgans.data.scenes import SyntheticScenes  # noqa: E402
from tfgans.data.settings import Data  # noqa: E402


def errors(answer, target, mask):
    """L1 and L2 in percent and PSNR in dB, over all missing pixels."""
    inside = np.broadcast_to(mask > 0, target.shape)
    difference = (answer[inside] - target[inside]) / 2
    l1, l2 = np.mean(np.abs(difference)), np.mean(difference**2)
    return 100 * l1, 100 * l2, -10 * np.log10(l2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs of context_encoder, or releases")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--out", default="context_encoder.png", help="the picture")
    given = parser.parse_args()
    columns = []
    for run in given.runs:
        model = models.load(run)
        source = SyntheticScenes(model.image_shape, True, TRAINED_ON, given.images)
        chosen = Data("synthetic", batch_size=given.images)
        batch = next(iter(data.batches(model, source, chosen, seed=0)))
        image, target, mask = (batch[key].numpy() for key in ("input", "target", "mask"))
        filled = in_parts(model.inpaint, image, mask, size=32)
        seen = (1 - mask).sum(axis=(1, 2), keepdims=True)
        around = (image * (1 - mask)).sum(axis=(1, 2), keepdims=True) / seen
        print(f"{run} ({model.region}), {len(image)} images     L1      L2    PSNR")
        answers = {"filled": filled, "mean around": around + 0 * image, "mean color": image}
        for name, answer in answers.items():
            l1, l2, psnr = errors(answer, target, mask)
            print(f"{name:>14} {l1:6.2f}% {l2:6.2f}% {psnr:6.2f}", flush=True)
        columns += [image[:8], filled[:8], target[:8]]
    images.save_grid(images.table(*columns), given.out)
    print(f"Written: {given.out}")


if __name__ == "__main__":
    main()
