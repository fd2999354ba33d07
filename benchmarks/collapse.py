"""Singular values and quality of a run of BigGAN: `python benchmarks/collapse.py RUN [--picture]`.

A run logs the largest singular value (sigma) of all matrices of G and of D in log.csv, and with
`metrics.names=[fid]` it measures its quality (metrics.csv). Printed are the rows of both; the
warning, which is the first step at which a sigma has leapt by two fifths since the row before;
and the break, from which on no figure is below twice the best one. With --picture curves are drawn,
with a dotted line at the warning and a dashed one at the break.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfgans.callbacks import read_rows  # noqa: E402

FID = "metrics/own_fid"
LEAP = 1.4  # of sigma, from one row to the next
LOST = 2.0  # times the best figure


def joined(run):
    """Steps, figures, and sigma of G and of D at these steps, four lists."""
    far = 10**12
    watched = {int(row["step"]): row for row in read_rows(run / "log.csv", far)}
    rows = [(int(row["step"]), float(row[FID])) for row in read_rows(run / "metrics.csv", far)]
    steps, figures = zip(*rows, strict=True)
    sigmas = [
        [float(watched[step][f"{player}/sigma"]) for step in steps]
        for player in ("generator", "discriminator")
    ]
    return [*steps], [*figures], *sigmas


def warning(steps, *sigmas):
    """The first step at which one of the players' sigmas has leapt, or None."""
    for k in range(1, len(steps)):
        if any(sigma[k] > LEAP * sigma[k - 1] for sigma in sigmas):
            return steps[k]
    return None


def break_of(steps, figures):
    """The first step from which on all figures are above `LOST` times the best one, or None."""
    bad = [figure > LOST * min(figures) for figure in figures]
    last = len(bad) - 1 - bad[::-1].index(False)
    return steps[last + 1] if last + 1 < len(bad) else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path, help="folder of a run with metrics.names=[fid]")
    parser.add_argument("--picture", type=pathlib.Path)
    args = parser.parse_args()
    steps, figures, g, d = joined(args.run)
    print("  step  own_fid  sigma of G  sigma of D")
    for row in zip(steps, figures, g, d, strict=True):
        print("{:6d} {:8.2f} {:11.2f} {:11.2f}".format(*row))
    best = figures.index(min(figures))
    print(f"Best: {figures[best]:.2f} at step {steps[best]}. Last: {figures[-1]:.2f}.")
    print(f"Warning at step {warning(steps, g, d)}, break at step {break_of(steps, figures)}.")
    if args.picture:
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
        axes[0].plot(steps, g, marker=".", label="G")
        axes[0].plot(steps, d, marker=".", label="D")
        axes[0].set_title("largest singular value", fontsize=10)
        axes[0].legend()
        axes[1].plot(steps, figures, marker=".")
        axes[1].set_title("FID on own features", fontsize=10)
        for axis in axes:
            axis.set_xlabel("steps")
            axis.grid(alpha=0.3)
            for step, style in ((warning(steps, g, d), ":"), (break_of(steps, figures), "--")):
                if step is not None:
                    axis.axvline(step, color="black", linestyle=style, linewidth=1)
        figure.savefig(args.picture, dpi=100)


if __name__ == "__main__":
    main()
