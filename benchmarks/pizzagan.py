"""Layers taken off and added: `python benchmarks/pizzagan.py RUN [--out pizzagan.png]`.

The run was trained on the synthetic layers (data/layered.py). Printed are, for new images:

- classes: the share of images whose layers D reads right, all of them;
- order: the share of the images with two layers whose order is found right, with the classes that D
  reads; and the same by the true masks;
- overlap: the intersection over union of the mask of each module that removes with the part of its
  layer that is seen, where the class is there; masks count above 1/2;
- empty: the share of the image that a mask of a module that removes covers where the class is not
  there;
- ground: the mean change of pixels outside of the true layer when it is removed (0 to 1);
- added: the share of added layers that D reads, and the mean size of their masks.

The picture has rows of an image, masks and images as its layers are taken off from the top, masks
and images as one of each class is added.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import TRAINED_ON, in_parts  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.convert import to_float  # noqa: E402
from tfgans.data.layered import LAYERS, SyntheticLayers  # noqa: E402


def right_orders(found, source):
    """The share of images with two layers whose order is right.

    Args:
        found: Numbers of the layers from the top down, -1 after the last one, [N, K].
        source: The layers.
    """
    right = []
    for i, row in enumerate(found):
        order = source.order(i)
        if len(order) == 2:
            right.append([k for k in row if k >= 0] == order)
    return np.mean(right), len(right)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run of pizzagan, or a release")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--out", default="pizzagan.png", help="the picture")
    given = parser.parse_args()
    model = models.load(given.run)
    source = SyntheticLayers(tuple(model.image_shape), TRAINED_ON, given.images)
    count = len(source)
    x = to_float(np.stack([source.read(i) for i in range(count)]), source.value_range, 3)
    truth = np.stack([source.masks(i) for i in range(count)])  # [N, K, H, W]
    order, _, _ = in_parts(model.peel, x, size=64)
    read = np.zeros_like(source.labels)
    for row, numbers in zip(read, order, strict=True):
        row[numbers[numbers >= 0]] = 1
    sizes = np.where(source.present, truth.sum(axis=(2, 3)), -1.0)
    ideal = np.argsort(-sizes, axis=1)
    ideal = np.where(np.take_along_axis(source.present, ideal, axis=1), ideal, -1)
    (share, n), (best, _) = right_orders(order, source), right_orders(ideal, source)
    print(f"classes {np.mean((read == source.labels).all(axis=1)):.1%} of {count}")
    print(f"order {share:.1%} of {n} (by the true masks {best:.1%})")
    for k, name in enumerate(LAYERS):
        removed, mask = in_parts(lambda x, k=k: model.remove(x, k), x, size=64)
        added, more = in_parts(lambda x, k=k: model.add(x, k), x, size=64)
        there, mask = source.present[:, k], mask[..., 0]
        inside, true = mask > 0.5, truth[:, k] > 0.5
        overlap = (inside & true).sum(axis=(1, 2)) / (inside | true).sum(axis=(1, 2)).clip(1)
        change = np.abs(removed - x).mean(axis=-1)[there] / 2
        ground = change[truth[there, k] == 0].mean()
        known = in_parts(lambda x: model.discriminator(x, training=False)[1], added, size=64)
        print(
            f"{name}: overlap {overlap[there].mean():.3f}, empty {inside[~there].mean():.3f}, "
            f"ground {ground:.3f}, added {np.mean(known[~there, k] > 0):.1%} with "
            f"{more[~there].mean():.3f} of the image (true layers {truth[there, k].mean():.3f})"
        )
    layers = source.present.sum(axis=1)
    shown = [*np.flatnonzero(layers == 2)[:4], *np.flatnonzero(layers == 3)[:3]]
    images.save_grid(model.preview({"image": x[shown]}), given.out)
    print(f"Written: {given.out}")


if __name__ == "__main__":
    main()
