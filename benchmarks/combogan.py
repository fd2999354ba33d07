"""Translations between all domains, and what domains cost: `python benchmarks/combogan.py [RUN]`.

The run was trained on the synthetic looks: drawings, pictures and nights of the same kinds of
scenes, without pairs. New scenes are drawn in all looks, so the right translation is known. Printed
is, for each direction, the mean error against the truth (0 to 1), beside that of the input itself.
The picture has a row for each source and a column for each target, its own column with the input;
below each row stands the truth.

With --cost no run is needed. Models of 2, 4 and 8 domains, at the tiny size of the configuration,
train on noise. Printed are the number of pairs, each of which is a graph of its own; the median
time until the first step of a pair is over, its graph traced; the memory that all these graphs
took; and the median time of a later step.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from trained import TRAINED_ON, in_parts  # noqa: E402

from tfgans import images, models  # noqa: E402
from tfgans.config import Config  # noqa: E402
from tfgans.data.convert import to_float  # noqa: E402
from tfgans.data.scenes import LOOKS, SyntheticLooks  # noqa: E402

PAGE = os.sysconf("SC_PAGE_SIZE")
STEPS = 200  # whose median time is taken
SHOWN = 2


def drawn(shape, count):
    """The same new scenes in all looks, [count, H, W, C] in [-1, 1] each."""
    found = []
    for look in range(len(LOOKS)):
        source = SyntheticLooks(shape, look, TRAINED_ON, count)
        stack = np.stack([source.read(i) for i in range(count)])
        found.append(to_float(stack, source.value_range, shape[2]))
    return found


def errors(run, count, out):
    """Prints the errors of all directions, and writes the picture."""
    model = models.load(run)
    looks = drawn(tuple(model.image_shape), count)
    rows = [[], []]
    for i, source in enumerate(looks):
        for j, truth in enumerate(looks):
            made = source
            if i != j:
                made = in_parts(lambda x, i=i, j=j: model.translated(x, i, j), source, size=32)
                error, own = (np.mean(np.abs(x - truth)) / 2 for x in (made, source))
                print(f"{LOOKS[i]} to {LOOKS[j]}: error {error:.3f} (input {own:.3f})")
            rows[0].append(made[:SHOWN])
            rows[1].append(truth[:SHOWN])
    n, table = len(LOOKS), []
    for i in range(n):
        for part in rows:
            table.append(np.concatenate(part[n * i : n * i + n]))
    images.save_grid(np.concatenate(table), out, n * SHOWN)
    print(f"Written: {out}")


def resident():
    """Memory of this process, in bytes."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * PAGE


def cost(domains):
    """Prints what a number of domains costs."""
    settings = Config.load("combogan", "tiny")
    settings.model["num_domains"] = domains
    model = models.get("combogan")(**settings.model)
    model.compile()
    keys = np.random.RandomState(0)
    batch = {
        str(k): keys.uniform(-1, 1, [settings.data.batch_size, *model.image_shape])
        for k in range(domains)
    }
    data, step = iter(tf.data.Dataset.from_tensors(batch).repeat()), model.make_train_function()

    def timed():
        start = time.perf_counter()
        tf.nest.map_structure(float, step(data))
        return time.perf_counter() - start

    before, first = resident(), {}
    while len(first) < len(model.choices):
        seconds = timed()
        first.setdefault(model.chosen, seconds)
    memory = resident() - before
    later = [timed() for _ in range(STEPS)]
    print(
        f"{domains} domains: {len(first)} pairs, first step of each "
        f"{np.median([*first.values()]):.1f} s, {memory / 1e6:.0f} MB in all; later steps "
        f"{1e3 * np.median(later):.1f} ms"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", help="folder of a run of combogan, or a release")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--out", default="combogan.png", help="the picture")
    parser.add_argument("--cost", action="store_true")
    given = parser.parse_args()
    if given.run:
        errors(given.run, given.images, given.out)
    if given.cost:
        for domains in (2, 4, 8):
            cost(domains)


if __name__ == "__main__":
    main()
