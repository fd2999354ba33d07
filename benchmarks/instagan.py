"""Translated instances: `python benchmarks/instagan.py RUN [--out instagan.png]`.

The run was trained on the synthetic triangles and squares. Printed are, for new images and for each
direction:

- ground: the mean change of pixels outside of all masks, before and after (0 to 1);
- inside: the same inside of the masks, before or after;
- shapes: the share of translated masks that are nearer to the other shape than to their own, by
  their `roundness`; and the same for the masks of before;
- way back: the mean error of image and masks after the way there and back; and that of the image
  where noise or JPEG disturb the translation in between (`tfgans/metrics/hidden.py`).

The picture has rows of image, masks, translation, its masks, and way back.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import TRAINED_ON, in_parts  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.scenes import SyntheticInstances, roundness  # noqa: E402
from tfgans.metrics import hidden  # noqa: E402

BETWEEN = 0.89  # the roundness of a square is above it, that of a triangle below


def drawn(shape, corners, count):
    """Images [N, H, W, C] and masks [N, H, W, 4] in [-1, 1]."""
    source = SyntheticInstances(shape, corners, TRAINED_ON, count)
    masks = np.full([count, *shape[:2], 4], -1, "float32")
    for i in range(count):
        found = source.read_masks(i)
        masks[i, ..., : found.shape[2]] = found
    return np.stack([source.read(i) for i in range(count)]).astype("float32") / 127.5 - 1, masks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run of instagan, or a release")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--out", default="instagan.png", help="the picture")
    given = parser.parse_args()
    model, tables = models.load(given.run), []
    found = model.both()
    for name, back, corners in (("a_to_b", "b_to_a", 3), ("b_to_a", "a_to_b", 4)):
        image, masks = drawn(model.image_shape, corners, given.images)
        made, moved = in_parts(found[name][1], image, masks, size=32)
        again, returned = in_parts(found[back][1], made, moved, size=32)
        change = np.abs(made - image).mean(axis=-1) / 2
        outside = (masks < 0).all(axis=-1) & (moved < 0).all(axis=-1)
        before, after = (
            roundness(np.moveaxis(x, -1, 1)[(masks > 0).any(axis=(1, 2))]) for x in (masks, moved)
        )
        sign = 1 if corners == 3 else -1
        shapes = [np.mean(sign * (x - BETWEEN) > 0) for x in (before, after)]
        error = np.mean(np.abs(again - image)) / 2, np.mean(np.abs(returned - masks)) / 2
        print(
            f"{name}: ground {change[outside].mean():.3f}, inside {change[~outside].mean():.3f}, "
            f"shapes {shapes[1]:.1%} of {len(after)} (before {shapes[0]:.1%}), way back "
            f"{error[0]:.3f} and masks {error[1]:.3f}"
        )

        def came_back(x, way=found[back][1], masks=moved):
            return in_parts(way, x, masks, size=32)[0]

        errors = hidden.errors(image, hidden.ways_back(made, came_back))
        print("  " + hidden.described(errors))
        union, there = (x.max(axis=-1, keepdims=True) for x in (masks, moved))
        tables.append(images.table(*(x[:6] for x in (image, union, made, there, again))))
    images.save_grid(np.concatenate(tables), given.out)
    print(f"Written: {given.out}")


if __name__ == "__main__":
    main()
