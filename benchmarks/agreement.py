"""Images of the class that was asked for: `python benchmarks/agreement.py RUN [RUN ...]`.

It trains a plain classifier of polygons (that of `wrm.py`, without attacks), says how many unseen
polygons it names right, and then which share of the images of each class of each run it names as
the class that the generator was given. The runs are of 32x32 polygons with 3 to 6 corners.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import classes_of, held_out, train  # noqa: E402

from tfgans import models  # noqa: E402

JUDGE = ["model.epsilon=0", "model.image_shape=[32,32,1]", "train.steps=1500"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs, or names of releases")
    parser.add_argument("--images", type=int, default=500, help="number for each class")
    given = parser.parse_args()
    judge = train("wrm", JUDGE)
    images, labels = held_out("synthetic", judge, 4 * given.images)
    print(f"polygons: {np.mean(classes_of(judge, images) == labels):.1%}", flush=True)
    for run in given.runs:
        model, shares = models.load(run), []
        for k in range(model.num_classes):
            images = model.sample(given.images, seed=k, labels=k)
            shares.append(np.mean(classes_of(judge, images) == k))
        each = ", ".join(f"{share:.1%}" for share in shares)
        print(f"{run}: {np.mean(shares):.1%} ({each})", flush=True)


if __name__ == "__main__":
    main()
