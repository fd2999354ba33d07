"""Translations that keep the class, or not: `python benchmarks/dtn.py RUN [RUN ...]`.

The runs are of DTN's demo, with and without `model.baseline=true`: polygons on gradients of color,
which have labels, become black ones on white. It trains a plain classifier of black polygons (that
of `agreement.py`), says how many unseen ones it names right, and then for each run which share of
the translations of unseen polygons it gives the class of the original (chance is 25 %), the mean
error against the same polygon in black on white (0 to 1), and the share of the originals that the
run's own f and head name right. The picture has rows of original, translation for each run, and the
polygon in black.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from agreement import JUDGE  # noqa: E402
from dann import unseen_target  # noqa: E402
from trained import TRAINED_ON, classes_of, held_out, in_parts, train  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.convert import to_float  # noqa: E402
from tfgans.data.synthetic import SyntheticImages  # noqa: E402

SHOWN = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs, or names of releases")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--picture", type=pathlib.Path)
    given = parser.parse_args()
    judge = train("wrm", JUDGE)
    polygons, labels = held_out("synthetic", judge, given.images)
    print(f"polygons: {np.mean(classes_of(judge, polygons) == labels):.1%} right", flush=True)
    rows = []
    for run in given.runs:
        model = models.load(run)
        originals, labels = unseen_target(model, given.images)
        made = in_parts(model.transferred, originals)
        first, shape = 2 * TRAINED_ON, tuple(model.image_shape)
        black = SyntheticImages(shape, model.num_classes, first + given.images)
        places = np.arange(first, first + given.images)
        truth = to_float(black.read(places), black.value_range, shape[2])
        own = np.mean(classes_of(model.classify, originals) == labels)
        found = classes_of(judge, made[..., :1])
        each = ", ".join(f"{np.mean(found[labels == k] == k):.1%}" for k in np.unique(labels))
        print(
            f"{run}: {np.mean(found == labels):.1%} of the translations right ({each}); error "
            f"{np.mean(np.abs(made - truth)) / 2:.3f}; f names {own:.1%} of the originals right",
            flush=True,
        )
        rows += [originals[:SHOWN]] * (not rows) + [made[:SHOWN]]
    if given.picture:
        images.save_grid(np.concatenate([*rows, truth[:SHOWN]]), given.picture, SHOWN)


if __name__ == "__main__":
    main()
