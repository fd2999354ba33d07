"""Accuracy against the size of an attack: `python benchmarks/wrm.py [--picture FILE]`.

It trains WRM's demo, and the same classifier without attacks, and attacks both with the attack of
the paper, at several prices of distance, on images that no training has seen. Each is attacked
through its own gradients. The distance is the root of the mean squared L2 distance, for pixels in
[0, 1].
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from trained import held_out, train  # noqa: E402

from tfgans.images import save_grid  # noqa: E402

STRENGTHS = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0)


def curve(model, images, labels):
    """For each strength: its distance and the share of right answers."""

    @tf.function
    def attacked(image, label, epsilon):
        hard = model.attack(image, label, epsilon)
        distance = tf.reduce_sum(tf.square(0.5 * (hard - image)), axis=[1, 2, 3])
        return tf.argmax(model(hard), axis=1), distance

    rows = []
    for epsilon in STRENGTHS:
        right, distances = [], []
        for k in range(0, len(images), 256):
            part = images[k : k + 256], labels[k : k + 256]
            found, distance = attacked(*map(tf.constant, part), epsilon)
            right.append(found.numpy() == labels[k : k + 256])
            distances.append(distance)
        distance = float(np.sqrt(np.mean(np.concatenate(distances))))
        rows.append((epsilon, distance, float(np.mean(np.concatenate(right)))))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", default="synthetic", help="labeled images for the comparison")
    parser.add_argument("--images", type=int, default=1024, help="number of these images, at most")
    parser.add_argument("--picture", type=pathlib.Path, help="PNG: clean, attacked plain, WRM")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    pictures = []
    for word, changes in (("plain training", ["model.epsilon=0"]), ("WRM", [])):
        model = train("wrm", [*given.set, *changes])
        images, labels = held_out(given.test, model, given.images)
        print(f"{word}: epsilon of the attack, distance, right")
        for epsilon, distance, right in curve(model, images, labels):
            print(f"  {epsilon:4.1f}  {distance:5.2f}  {right:.1%}", flush=True)
        pictures.append(model.attack(images[:8], labels[:8], epsilon=2.0))
    if given.picture:
        save_grid(np.concatenate([images[:8], *pictures]), given.picture, columns=8)


if __name__ == "__main__":
    main()
