"""Times the training step of every model: `python benchmarks/models.py [NAMES] [--json FILE]`.

It times only the compiled step, on one batch in memory, in the last stage of the demo setting
(`--set` changes it as in `tools/train.py`). If steps differ, as with lazy regularization, the
figure is the mean over one period. The matrix product for the peak is timed between the steps, so
that a drift of the machine's speed affects both alike; figures are medians.

Operations are counted for matrix products and convolutions, also inside loops.
"""

import argparse
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import keras  # noqa: E402
import record  # noqa: E402
import tensorflow as tf  # noqa: E402
from stylegan2 import multiplications, peak, seconds_of  # noqa: E402

from tfgans import data, models, training  # noqa: E402
from tfgans.config import Config  # noqa: E402
from tfgans.memory import needed  # noqa: E402


class Steps:
    """The compiled steps of a model, and a batch of its last stage.

    Attributes:
        graphs: Pattern -> the compiled step, of all stages.
        patterns: Those of one period of the last stage, in their order.
    """

    def __init__(self, settings):
        source = training.resolve(settings)
        self.model = training.build(settings)

        def batch(stage):
            return next(iter(data.batches(self.model, source, settings.data, 0, stage=stage)))

        self.batch = batch(len(self.model.stage_steps))
        self.examples = settings.data.batch_size * self.model.batches_per_step
        first = sum(self.model.stage_steps)
        if first:
            self.model.now = first
            self.model.stage_begins(self.model.stage)
        self.model.step.assign(first)
        self.graphs = self.model.graphs(batch)
        self.patterns = [self.model.pattern(first + k) for k in range(self.model.period)]

    def time(self, pattern):
        return seconds_of(self.graphs[pattern], self.batch)

    def mean(self, values):
        """Returns the mean over a period, from a value for each pattern."""
        return sum(values[pattern] for pattern in self.patterns) / len(self.patterns)


def operations(graph):
    """Counts the floating-point operations of a graph, and of those that it calls."""
    total = 0
    for op in needed(graph):
        total += 2 * multiplications(op)
        if op.type.endswith("PartitionedCall"):  # compiled by XLA as one
            total += operations(graph._get_function(op.get_attr("f").name).graph)
        if op.type in ("While", "StatelessWhile"):  # from `tf.map_fn`, of fixed length
            rounds = int(tf.get_static_value(op.inputs[1]))
            total += rounds * operations(graph._get_function(op.get_attr("body").name).graph)
    return total


def measure(name, changes, rounds):
    """Returns a row: examples/s as median, least and most, share of the peak, operations."""
    settings = Config.load(name, "demo", changes)
    steps = Steps(settings)
    number = "bfloat16" if settings.train.precision == "mixed_bfloat16" else "float32"
    seconds, peaks = {pattern: [] for pattern in steps.patterns}, []
    for pattern in seconds:
        steps.time(pattern)  # warm-up
    for _ in range(rounds):
        peaks.append(peak(number, side=1024))
        for pattern, found in seconds.items():
            found.append(steps.time(pattern))
    work = {pattern: operations(steps.graphs[pattern].graph) for pattern in seconds}

    def rate(choose):
        return steps.examples / steps.mean({p: choose(found) for p, found in seconds.items()})

    median = rate(statistics.median)
    per_example = steps.mean(work) / steps.examples
    return {
        "name": name,
        "batch": steps.examples,
        "examples/s": median,
        "least": rate(max),
        "most": rate(min),
        "operations per example": per_example,
        "share of peak": median * per_example / statistics.median(peaks),
        "operations in the graph": len(needed(steps.graphs[steps.patterns[0]].graph)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(models.MODELS), help="default: all")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="changes")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    args = parser.parse_args()
    rows = []
    print(record.machine())
    print(f"{'demo of':13} batch examples/s (least - most) of peak  Mflop each  graph")
    for name in args.names:
        row = measure(name, args.changes, args.rounds)
        keras.backend.clear_session()
        rows.append(row)
        print(
            f"{name:13} {row['batch']:5} {row['examples/s']:10.1f} "
            f"({row['least']:.1f} - {row['most']:.1f}) {row['share of peak']:7.0%} "
            f"{row['operations per example'] / 1e6:11.1f} {row['operations in the graph']:6}",
            flush=True,
        )
    record.write(args.json, rows)


if __name__ == "__main__":
    main()
