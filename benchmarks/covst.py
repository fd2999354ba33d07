"""Flicker of a style, frame by frame and steady: `python benchmarks/covst.py RUN [options]`.

The run is of a `covst`. It paints synthetic films with exact flow that no training has seen, with
noise on each frame if wanted. For each way: the temporal error (`metrics/temporal.py`), the mean
change of pixels that rest, and the distance to the style of each frame alone, so that a smear would
show. --flow measures the network
of `tools/data.py flow` against the exact flow in place of it.
"""

import argparse
import os
import resource

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from trained import TRAINED_ON  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.data.estimate_flow import learned  # noqa: E402
from tfgans.data.motion import SyntheticSquares  # noqa: E402
from tfgans.metrics.temporal import temporal_error  # noqa: E402


def films(side, length, count, noise=0.0, resting=False):
    """New films [n, T, H, W, 3] in [-1, 1], their flow, and where it leads to what is seen."""
    source = SyntheticSquares((side, side), length, first=10 * TRAINED_ON)
    source.resting = resting
    found = [source.read(i, np.arange(length)) for i in range(count)]
    video, flow, visible = (np.stack([f[k] for f in found]) for k in ("video", "flow", "visible"))
    video = video.astype("float32") / 127.5 - 1.0
    video += noise * np.random.default_rng(0).standard_normal(video.shape).astype("float32")
    return np.clip(video, -1.0, 1.0), flow, visible


def measure_flow(args):
    """Prints the end-point error of learned flow on the films that it learned from."""
    keras.utils.set_random_seed(0)
    video, flow, visible = films(args.side, args.length, args.films)
    now, past = (x.reshape(-1, *x.shape[2:]) for x in (video[:, 1:], video[:, :-1]))
    true, seen = (x[:, 1:].reshape(-1, *x.shape[2:]) for x in (flow, visible))
    for steps in (0, args.flow):
        network = learned(now, past, steps)
        made = np.concatenate(
            [network(now[k : k + 8], past[k : k + 8])[-1] for k in range(0, len(now), 8)]
        )
        print(f"{steps} steps:", end=" ")
        report(made - true, seen)
    print("no flow:", end=" ")
    report(true, seen)


def report(error, seen):
    size = np.linalg.norm(error, axis=-1, keepdims=True)
    print(
        f"end-point error {size.mean():.3f} pixels, of pixels that were seen before "
        f"{(size * seen).sum() / seen.sum():.3f}; "
        f"{100 * ((size < 0.5) * seen).sum() / seen.sum():.1f} % of these below 0.5",
        flush=True,
    )


def measure_memory(model, side, length):
    """Streams a film of noise and prints the most memory that the process has taken."""
    frames = (np.random.default_rng(k).uniform(-1, 1, [side, side, 3]) for k in range(length))
    count = sum(1 for _ in model.stream(frames))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count} frames of {side}x{side}: {peak:.0f} MB at most")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", help="folder of a run, or name of a release")
    parser.add_argument("--films", type=int, default=16)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--noise", type=float, default=0.0, help="deviation, of frames in [-1, 1]")
    parser.add_argument("--resting", action="store_true", help="the ground rests in all films")
    parser.add_argument("--picture", help="OUT.png and OUT.gif: film, frame by frame, steady")
    parser.add_argument("--flow", type=int, metavar="STEPS", help="measure learned flow instead")
    parser.add_argument("--memory", type=int, metavar="FRAMES", help="measure memory instead")
    args = parser.parse_args()
    if args.flow:
        measure_flow(args)
        return
    model = models.load(args.run)
    if args.memory:
        measure_memory(model, args.side, args.memory)
        return
    video, flow, _ = films(args.side, args.length, args.films, args.noise, args.resting)
    clean, _, _ = films(args.side, args.length, args.films, resting=args.resting)
    ways = {"the film": [], "frame by frame": [], "steady": []}
    for film in video:
        made = model.per_frame(tf.constant(film[None]))[0], model.stylize(film[None])[0]
        for way, frames in zip(ways.values(), (film, *made), strict=True):
            way.append(np.asarray(frames))
    for name, way in ways.items():
        errors = [temporal_error(a, b, f) for a, b, f in zip(way, clean, flow, strict=True)]
        way, alone = np.stack(way), np.stack(ways["frame by frame"])
        change = np.abs(way[:, 1:] - way[:, :-1])[np.all(flow[:, 1:] == 0, axis=-1)]
        print(
            f"{name}: temporal error {np.mean(errors):.4f}, change at rest {np.mean(change):.4f}, "
            f"{np.mean(np.abs(way - alone)):.4f} from frame by frame"
        )
    if args.picture:
        rows = np.stack([way[0] for way in ways.values()])
        chosen = np.linspace(args.length // 2, args.length - 1, 6).round().astype(int)
        images.save_grid(rows[:, chosen], f"{args.picture}.png")
        sheets = [images.grid(rows[:, t], columns=3) for t in range(args.length)]
        images.write_gif(images.pictures(np.stack(sheets)), f"{args.picture}.gif", 8)


if __name__ == "__main__":
    main()
