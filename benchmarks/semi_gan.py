"""Few labels, with and without images that have none: `python benchmarks/semi_gan.py [--seeds 3]`.

It trains SemiGAN's demo, the same classifier on the labels alone, and TripleGAN's demo, in turn,
each time with other labeled images, the same for all, and another start. The share of right answers
is that of averaged weights on images that no training has seen.
"""

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from trained import classes_of, held_out, train  # noqa: E402

RUNS = {  # the printed word -> the model, and changes of its demo
    "semi_gan": ["semi_gan"],
    "labels alone": ["semi_gan", "model.unlabeled_weight=0.0"],
    "triple_gan": ["triple_gan"],
}


def accuracy(model, images, labels):
    return float(np.mean(classes_of(lambda x: model.classify(x)["probability"], images) == labels))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", default="synthetic", help="labeled images for the comparison")
    parser.add_argument("--images", type=int, default=4096, help="number of these images, at most")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--of", choices=RUNS, nargs="+", default=[*RUNS], help="which of them")
    given = parser.parse_args()
    found = {word: [] for word in given.of}
    for seed in range(given.seeds):
        for word in given.of:
            name, *changes = RUNS[word]
            changes += [f"data.labeled_seed={seed}", f"train.seed={seed}"]
            model = train(name, [*given.set, *changes])
            images, labels = held_out(given.test, model, given.images)
            found[word].append(accuracy(model, images, labels))
            print(f"seed {seed}, {word}: {found[word][-1]:.1%} right", flush=True)
    for word, values in found.items():
        spread = f"{min(values):.1%} to {max(values):.1%}"
        print(f"{word}: {statistics.mean(values):.1%} of {len(images)} images ({spread})")


if __name__ == "__main__":
    main()
