"""A domain without labels, read or not: `python benchmarks/dann.py [--seeds 3] [--picture FILE]`.

It trains DANN's demo, and the same networks on the source alone (lambda = 0), in turn, each time
from another start. The share of right answers is that on images of the target that no training has
seen. The picture shows both domains, source in blue and target in orange, in two main directions:
above after training on the source alone, below of DANN; left the features, right the last hidden
layer of the head for classes.
"""

import argparse
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import TRAINED_ON, classes_of, held_out, train  # noqa: E402

from tfgans.data.images import prepared  # noqa: E402
from tfgans.data.labeled_shift import ShiftedPolygons  # noqa: E402
from tfgans.images import save_grid  # noqa: E402

SHOWN = 256  # images of each domain in the picture


def unseen_target(model, count):
    """Images of the target that no training has seen, and their classes."""
    # Training has seen the first polygons black, and as many more on gradients.
    source = ShiftedPolygons(model.image_shape, model.num_classes, 2 * TRAINED_ON, count)
    return np.stack([image for _, image in prepared(source, model.image_shape)]), source.labels


def domain_accuracy(model, source, target):
    """Share of images whose domain the model's own head names."""
    right = []
    for images, number in ((source, 0), (target, 1)):
        logits = model.domain_head(model.features(images))
        right.append(np.argmax(logits, axis=1) == number)
    return float(np.mean(right))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", help="images of the target with labels; default: synthetic ones")
    parser.add_argument("--images", type=int, default=4096, help="number of these images, at most")
    parser.add_argument(
        "--picture", type=pathlib.Path, help="PNG of the features, of the last seed"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    words = {"source alone": ["model.reversal=0"], "DANN": []}
    found, pictures = {word: [] for word in words}, []
    for seed in range(given.seeds):
        pictures.clear()
        for word, changes in words.items():
            model = train("dann", [*given.set, *changes, f"train.seed={seed}"])
            source, of_source = held_out("synthetic", model, given.images)
            if given.test:
                target, of_target = held_out(given.test, model, given.images)
            else:
                target, of_target = unseen_target(model, given.images)
            right = [
                float(np.mean(classes_of(model, images) == labels))
                for images, labels in ((source, of_source), (target, of_target))
            ]
            found[word].append(right)
            domain = domain_accuracy(model, source[:1024], target[:1024])
            print(
                f"seed {seed}, {word}: source {right[0]:.1%}, target {right[1]:.1%} right; "
                f"domain named {domain:.1%}",
                flush=True,
            )
            pictures.append(model.scatter(source[:SHOWN], target[:SHOWN]))
    for word, values in found.items():
        for name, shares in zip(("source", "target"), zip(*values, strict=True), strict=True):
            spread = f"{min(shares):.1%} to {max(shares):.1%}"
            print(f"{word}: {statistics.mean(shares):.1%} of the {name} ({spread})")
    if given.picture:
        save_grid(np.concatenate(pictures), given.picture, columns=2)


if __name__ == "__main__":
    main()
