"""Edits that show what was asked for: `python benchmarks/attributes.py RUN [RUN ...]`.

Each run is of a model with `edit(image, label)` and the three attributes of synthetic shapes, such
as the demos of IcGAN, Fader Networks and StarGAN. Shapes that no training has seen get each
attribute flipped in turn, and an oracle reads the attributes of the result from its pixels. The
shares: reconstructions with all attributes kept; edits with the flipped attribute as asked; edits
in which the two others stayed. Then, since the true picture of each edit is known: by how much
pixels that are to stay differ from those of the input, and all pixels from those of the true
picture, as a mean share of the range of values. A StarGAN of two data sets is asked for red and
filled with the labels of one, and for dark with those of the other. For Fader Networks also: how
often a new linear probe reads each attribute from codes, which is to be near one half.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import TRAINED_ON, in_parts  # noqa: E402

from tfgans import models  # noqa: E402
from tfgans.data.attributes import SYNTHETIC, SyntheticAttributes, read_attributes  # noqa: E402
from tfgans.data.convert import to_float  # noqa: E402


def probe(codes, labels, taught):
    """Share of right answers, [K], of ridge regression on codes [n, F]; the first rows teach."""
    x = np.concatenate([codes - codes[:taught].mean(0), np.ones([len(codes), 1])], axis=1)
    x, y = x.astype("float64"), 2.0 * labels - 1.0
    square = x[:taught].T @ x[:taught]
    square += 1e-3 * np.trace(square) / len(square) * np.eye(len(square))
    weights = np.linalg.solve(square, x[:taught].T @ y[:taught])
    return np.mean((x[taught:] @ weights > 0) == (y[taught:] > 0), axis=0)


def pictures(source, label):
    """The unseen shapes with other attributes, [n, H, W, 3]; label: [n, 3]."""
    source.drawn[TRAINED_ON:] = label
    rows = range(TRAINED_ON, len(source))
    return np.stack([to_float(source.read(i), source.value_range, 3) for i in rows])


def told(model, label, second):
    """Labels [n, 3] as the model takes them; of two data sets, those of the first or the second."""
    if not getattr(model, "second_classes", 0):
        return label
    n, nothing = len(label), np.zeros([len(label), 2], "float32")
    mask = np.eye(2, dtype="float32")[n * [int(second)]]
    ground = np.eye(2, dtype="float32")[label[:, 2].astype(int)]  # light, dark
    return np.concatenate(
        [nothing, ground, mask] if second else [label[:, :2], nothing, mask], axis=1
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs, or names of releases")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--taught", type=int, default=4096, help="images for the probe")
    given = parser.parse_args()
    for run in given.runs:
        model = models.load(run)
        source = SyntheticAttributes(model.image_shape, TRAINED_ON + given.images)
        label = source.labels[TRAINED_ON:].copy()
        image = pictures(source, label)
        kept = in_parts(model.edit, image, told(model, label, False))
        right = np.mean((read_attributes(kept) == label).all(axis=1))
        away = 0.5 * np.abs(kept - image).mean()
        print(f"{run}: reconstructions with all attributes kept {right:.1%}, off by {away:.1%}")
        for k, name in enumerate(SYNTHETIC):
            asked = np.abs(label - np.eye(3, dtype="float32")[k])
            truth = pictures(source, asked)
            made = in_parts(model.edit, image, told(model, asked, name == "dark"))
            right = read_attributes(made) == asked
            others = np.delete(right, k, axis=1).all(axis=1)
            print(
                f"  {name} flipped {np.mean(right[:, k]):.1%}, others kept {np.mean(others):.1%}; "
                f"pixels to stay moved by {0.5 * np.abs(made - image)[truth == image].mean():.1%}; "
                f"off the true picture by {0.5 * np.abs(made - truth).mean():.1%}, "
                f"the input {0.5 * np.abs(image - truth).mean():.1%}",
                flush=True,
            )
        if isinstance(model, models.get("fader")):
            source = SyntheticAttributes(model.image_shape, TRAINED_ON + given.images)
            rows = range(TRAINED_ON - given.taught, len(source))
            codes = []
            for begin in range(0, len(rows), 128):
                some = [source.read(i) for i in rows[begin : begin + 128]]
                image = np.stack([to_float(x, source.value_range, 3) for x in some])
                code = model.encoder(image, training=False).numpy()
                codes.append(code.reshape(len(code), -1))
            found = probe(np.concatenate(codes), source.labels[rows], given.taught)
            words = zip(SYNTHETIC, found, strict=True)
            print("  read from codes: " + ", ".join(f"{n} {share:.1%}" for n, share in words))


if __name__ == "__main__":
    main()
