"""Pairs of CoGAN: `python benchmarks/cogan.py RUN [--pairs N] [--picture FILE]`.

For a run of the demo, whose domains are drawings of scenes and textured scenes. A pixel's distance
from the color of the ground, which is known, says whether a shape is there. Printed is the
correlation of these distances over the pixels of two partners, and of two strangers; then the same
for real scenes in both looks, whose pairs no training knows.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.convert import to_float  # noqa: E402
from tfgans.data.scenes import SyntheticScenes  # noqa: E402


def distances(pictures, ground):
    """Distances from the ground's color, [N, H * W], of pictures in [-1, 1]."""
    return np.linalg.norm(127.5 * (pictures + 1) - ground, axis=-1).reshape(len(pictures), -1)


def correlation(drawings, pictures):
    """The mean correlation over the pixels of a drawing and its picture, both [N, pixels]."""
    return np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(drawings, pictures, strict=True)])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run of cogan, or name of a release")
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--picture", type=pathlib.Path, help="eight drawings above their pictures")
    given = parser.parse_args()
    model = models.load(given.run)
    sources = [SyntheticScenes(model.image_shape, textured) for textured in (False, True)]
    real = [
        np.stack([to_float(source.read(i), source.value_range, 3) for i in range(given.pairs)])
        for source in sources
    ]
    made = [part.numpy() for part in model.sample_pair(given.pairs, seed=0).values()]
    for name, pairs in (("made", made), ("real", real)):
        drawings, pictures = map(distances, pairs, (source.ground for source in sources))
        print(
            f"{name}: partners {correlation(drawings, pictures):.2f}, "
            f"strangers {correlation(drawings, np.roll(pictures, 1, axis=0)):.2f}"
        )
    if given.picture:
        images.save_grid(np.concatenate([part[:8] for part in made]), given.picture, 8)


if __name__ == "__main__":
    main()
