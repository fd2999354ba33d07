"""Features learned without labels: `python benchmarks/bigbigan.py RUN [--picture FILE]`.

RUN is a BigBiGAN of polygons with 3 to 6 corners, the demo. A linear probe learns their class from
a few labels, on the encoder's features, on those of an untrained encoder and on the pixels, and is
measured on polygons that no training has seen. Then: the share of these whose nearest neighbor is
of their class, and the share of reconstructions that a trained classifier names as the original.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import keras  # noqa: E402
import numpy as np  # noqa: E402
from agreement import JUDGE  # noqa: E402
from scipy.optimize import minimize  # noqa: E402
from scipy.special import logsumexp  # noqa: E402
from trained import classes_of, held_out, in_parts, train  # noqa: E402

from tfgans import images, models  # noqa: E402

CLASSES, DECAY = 4, 1e-3  # of the probe's weights
QUERIES = 8


def probe(features, labels, seen):
    """Share of right answers of softmax regression: the first `seen` rows teach, the rest test."""
    mean, deviation = features[:seen].mean(0), features[:seen].std(0)
    x = np.clip((features - mean) / (deviation + 1e-6), -10, 10)
    x = np.concatenate([x, np.ones([len(x), 1])], axis=1)
    target = np.eye(CLASSES)[labels[:seen]]

    def loss(flat):
        w = flat.reshape(-1, CLASSES)
        logits = x[:seen] @ w
        log_z = logsumexp(logits, axis=1, keepdims=True)
        value = np.mean(log_z - np.sum(target * logits, axis=1, keepdims=True))
        slope = x[:seen].T @ (np.exp(logits - log_z) - target) / seen
        return value + 0.5 * DECAY * np.sum(w**2), (slope + DECAY * w).ravel()

    start = np.zeros(x.shape[1] * CLASSES)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    answers = np.argmax(x[seen:] @ found.x.reshape(-1, CLASSES), axis=1)
    return np.mean(answers == labels[seen:])


def neighbors(features, count):
    """Indices of the rows that are nearest to each row by angle, itself left out, [N, count]."""
    x = features - features.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-9
    nearness = x @ x.T
    np.fill_diagonal(nearness, -np.inf)
    return np.argsort(-nearness, axis=1)[:, :count]


def untrained(model, pictures):
    """The encoder before training, with statistics of normalization from the pictures."""
    keras.utils.set_random_seed(0)
    new = type(model).from_config(model.get_config())
    for k in range(0, 1024, 64):
        new.encoder(pictures[k : k + 64], training=True)
    return new


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run, or name of a release")
    parser.add_argument("--labels", type=int, nargs="+", default=[40, 200, 1000])
    parser.add_argument("--images", type=int, default=2048, help="number of unseen images")
    parser.add_argument("--picture", type=pathlib.Path, help="PNG: queries, neighbors by features")
    given = parser.parse_args()
    model = models.load(given.run)
    pictures, labels = held_out("synthetic", model, given.images + max(given.labels), CLASSES)
    pixels = pictures.reshape(len(pictures), -1)
    found, blank = (in_parts(m.features, pictures) for m in (model, untrained(model, pictures)))
    sets = {
        "encoder, pooled": found["avepool_feat"],
        "encoder, BN and CReLU": found["bn_crelu_feat"],
        "encoder, mean of z": in_parts(model.encode, pictures)["z"],
        "untrained encoder, pooled": blank["avepool_feat"],
        "untrained encoder, BN and CReLU": blank["bn_crelu_feat"],
        "pixels": pixels,
    }
    print(f"right of {given.images} with labels: {given.labels}; with the nearest neighbor")
    for word, features in sets.items():
        x = features.astype("float64")
        tested = slice(-given.images, None)
        shares = []
        for seen in given.labels:
            rows = np.r_[:seen, np.arange(len(x))[tested]]
            shares.append(f"{probe(x[rows], labels[rows], seen):.1%}")
        near = neighbors(x[tested], 1)[:, 0]
        same = np.mean(labels[tested][near] == labels[tested])
        print(f"{word}: {', '.join(shares)}; {same:.1%}", flush=True)
    if given.picture:
        rows = np.concatenate([np.flatnonzero(labels == k)[: QUERIES // CLASSES] for k in range(4)])
        near = [neighbors(sets[w], 7)[rows] for w in ("encoder, BN and CReLU", "pixels")]
        columns = [np.concatenate([rows[:, None], n], axis=1) for n in near]
        images.save_grid(pictures[np.concatenate(columns, axis=1)], given.picture)
    judge = train("wrm", JUDGE)
    tested, wanted = pictures[-given.images :], labels[-given.images :]
    made = in_parts(lambda x: {"image": model.reconstruct(x)}, tested)["image"]
    answers = classes_of(judge, made)
    print(f"a classifier names {np.mean(classes_of(judge, tested) == wanted):.1%} right")
    each = ", ".join(f"{np.mean(answers[wanted == k] == k):.1%}" for k in range(CLASSES))
    print(
        f"reconstructions of the class of the original: {np.mean(answers == wanted):.1%} ({each})"
    )


if __name__ == "__main__":
    main()
