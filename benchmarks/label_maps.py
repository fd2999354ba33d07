"""Styles of photographs from label maps: `python benchmarks/label_maps.py RUN [RUN ...]`.

Places that no training has seen are drawn from their maps, in a style that a photograph gives:
another place for GauGAN, whose style is one code; the same place for pix2pixHD, whose style is
three numbers for each object. Printed are distances of mean colors, as a part of the range:

- ground: of the ground to that of the photograph that gave the style, and to that of another
  photograph;
- objects: the same for each object, with pix2pixHD alone: in the styles of its own photograph, and
  in random styles of its class;
- textures: the correlation of the brightness inside of objects with that of the true photograph,
  which the map alone decides.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import TRAINED_ON, in_parts  # noqa: E402

from tfgans import models, random  # noqa: E402
from tfgans.data.scenes import SyntheticPlaces  # noqa: E402

LEAST = 30  # pixels of an object that counts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs of gaugan and pix2pixhd")
    parser.add_argument("--images", type=int, default=128)
    given = parser.parse_args()
    for run in given.runs:
        model = models.load(run)
        labels, instances, photographs = (
            np.stack([source.read(i) for i in range(given.images)])
            for source in (
                SyntheticPlaces(model.image_shape, part, TRAINED_ON, given.images)
                for part in ("labels", "instances", "photograph")
            )
        )
        maps = labels[..., 0], instances[..., 0]
        photographs = (photographs / 127.5 - 1).astype("float32")
        ground = labels == 0
        if type(model).__name__ == "GauGAN":
            style = np.roll(photographs, 1, axis=0)
            made = in_parts(model.photograph, *maps, style, size=32)
            own, other = (np.roll(colors(photographs, ground), k, axis=0) for k in (1, 2))
        else:
            made = in_parts(model.restyle, *maps, photographs, size=32)
            own = colors(photographs, ground)
            other = np.roll(own, 1, axis=0)
        found = colors(made, ground)
        print(f"{run}: ground {distance(found, own):.3f}, of another {distance(found, other):.3f}")
        if type(model).__name__ != "GauGAN":
            with random.scope(0):
                drawn = in_parts(model.photograph, *maps, size=32)
            near, far = objects(made, photographs, maps[1]), objects(drawn, photographs, maps[1])
            print(f"  objects {near:.3f}, in random styles {far:.3f}")
        print(f"  textures {textures(made, photographs, maps[1]):.3f}", flush=True)


def colors(images, where):
    """The mean color of a part of each image: [N, 3]."""
    return np.sum(images * where, axis=(1, 2)) / np.sum(where, axis=(1, 2))


def distance(a, b):
    return np.abs(a - b).mean() / 2


def each_object(instances):
    """Place of each object: the image, and a mask [H, W]."""
    for i, numbers in enumerate(instances):
        for number in np.unique(numbers[numbers > 0]):
            inside = numbers == number
            if inside.sum() >= LEAST:
                yield i, inside


def objects(made, true, instances):
    """The mean distance of the colors of objects."""
    return np.mean(
        [distance(made[i][m].mean(axis=0), true[i][m].mean(0)) for i, m in each_object(instances)]
    )


def textures(made, true, instances):
    """The mean correlation of brightness inside of objects."""
    found = [
        np.corrcoef(made[i][m].mean(axis=1), true[i][m].mean(axis=1))[0, 1]
        for i, m in each_object(instances)
    ]
    return np.mean(found)


if __name__ == "__main__":
    main()
