"""Times FID from features: ours, and the arithmetic of public CPU implementations.

python benchmarks/metrics.py [--images 50000] [--features 2048]

The peer is the computation of pytorch-fid, TTUR and clean-fid from features: `np.mean` and `np.cov`
of each set, then `scipy.linalg.sqrtm` of the product of both covariances. Ours takes the features
in batches of 1,000, as `tools/evaluate.py` does, and uses an eigen-decomposition.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
from scipy import linalg  # noqa: E402

from tfgans.metrics import Moments, frechet_distance  # noqa: E402


def ours(features):
    moments = Moments()
    for begin in range(0, len(features), 1000):
        moments.add(features[begin : begin + 1000])
    return moments.mean, moments.covariance()


def theirs(features):
    return np.mean(features, axis=0), np.cov(features, rowvar=False)


def their_distance(mean_1, covariance_1, mean_2, covariance_2):
    root = linalg.sqrtm(covariance_1 @ covariance_2).real
    difference = mean_1 - mean_2
    traces = np.trace(covariance_1) + np.trace(covariance_2) - 2 * np.trace(root)
    return difference @ difference + traces


def timed(function, *args):
    began = time.perf_counter()
    return function(*args), time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3, help="medians are printed")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal([args.features, args.features], "float32") / args.features**0.5
    sets = []
    for shift in (0, 0.05):  # correlated, nonnegative features, as those of a network
        normal = rng.standard_normal([args.images, args.features], "float32")
        sets.append(np.maximum(normal @ mixing + shift, 0))

    seconds = {("ours", "statistics"): [], ("ours", "distance"): []}
    seconds |= {("peer", part): [] for _, part in seconds}
    values = {}
    for _ in range(args.rounds):
        sides = ("ours", ours, frechet_distance), ("peer", theirs, their_distance)
        for side, statistics_of, distance_of in sides:
            both, took = timed(
                lambda f: [x for features in sets for x in f(features)], statistics_of
            )
            seconds[side, "statistics"].append(took)
            values[side], took = timed(distance_of, *both)
            seconds[side, "distance"].append(took)

    print(f"{args.images:,} x {args.features:,} features, two sets; median seconds")
    print(f"{'':<12}{'ours':>8}{'peer':>8}{'ratio':>8}")
    times = {key: statistics.median(rounds) for key, rounds in seconds.items()}
    for side in ("ours", "peer"):
        times[side, "all"] = times[side, "statistics"] + times[side, "distance"]
    for part in ("statistics", "distance", "all"):
        mine, other = times["ours", part], times["peer", part]
        print(f"{part:<12}{mine:>8.2f}{other:>8.2f}{other / mine:>8.2f}")
    print(f"FID {values['ours']:.9g} and {values['peer']:.9g}")


if __name__ == "__main__":
    main()
