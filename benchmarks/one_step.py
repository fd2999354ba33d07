"""One training step of ImageNet's networks at batch 1: `python benchmarks/one_step.py [NAMES]`.

Each configuration is built at its published size in a process of its own, traced in its last stage,
and makes two steps on one synthetic example (S3GAN: eight); the second is timed. Steps that differ,
as with lazy penalties, count by their share of a period. Printed are the trained parameters, the
operations of the step (two for each multiplication of matrix products and convolutions), its
seconds, and the memory of the process: as `tfgans.memory` estimates it, and the largest resident
set. `--limit` leaves out what is estimated to need more memory: it is traced and counted, and makes
no step.
"""

import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import tfgans` has it

import record  # noqa: E402
from models import Steps, operations  # noqa: E402

from tfgans.config import Config  # noqa: E402
from tfgans.memory import memory_of  # noqa: E402

NAMES = "sagan biggan biggan-deep biggan-256 biggan-512 s3gan bigbigan stylegan".split()
ONE = ["data.path=synthetic", "data.batch_size=1"]
CLASSES = ["model.num_classes=1000"]
MORE = {
    "stylegan": [],
    "bigbigan": [],
    # Two of eight images are turned, fewer cannot be; a synthetic class has sixteen images.
    "s3gan": [*CLASSES, "data.batch_size=8", "data.labeled_per_class=1"],
}


def measure(name, limit):
    """Builds, traces and steps in this process; returns a row of the table."""
    steps = Steps(Config.load(name, changes=[*ONE, *MORE.get(name, CLASSES)]))
    model = steps.model
    weights = {id(w): w for player in model.players() for w in model.weights_of(player)}
    row = {
        "name": name,
        "parameters": sum(math.prod(w.shape) for w in weights.values()),
        "operations": steps.mean({p: operations(steps.graphs[p].graph) for p in steps.patterns}),
        "estimated": memory_of(model, steps.graphs).process,
    }
    if row["estimated"] < limit:
        row["seconds"] = steps.mean(
            {p: [steps.time(p) for _ in range(2)][1] for p in steps.patterns}
        )
        status = pathlib.Path("/proc/self/status").read_text()
        row["measured"] = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES, help="configurations")
    parser.add_argument("--limit", type=float, default=20.0, help="10^9 bytes (default: 20)")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(json.dumps(measure(args.names[0], 1e9 * args.limit)))
        return
    rows = []
    print(f"{'':12} trained, 10^6  operations, 10^9  seconds  estimated, measured 10^9 bytes")
    for name in args.names:
        command = [sys.executable, __file__, name, "--here", "--limit", str(args.limit)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(row := json.loads(done.stdout.splitlines()[-1]))
        print(
            f"{name:12} {row['parameters'] / 1e6:13.1f}  {row['operations'] / 1e9:16.1f}  "
            f"{row.get('seconds', math.nan):7.1f}  {row['estimated'] / 1e9:9.2f}  "
            f"{row.get('measured', math.nan) / 1e9:8.2f}",
            flush=True,
        )
    record.write(args.json, rows)


if __name__ == "__main__":
    main()
