"""Tries which endpoints of all models convert to ONNX and TFLite: docs/runtimes.md.

`python benchmarks/runtimes.py results.jsonl` tries those models that have no line in the file, at
their tiny size; `--table` prints the table. `--speed` compares times of large networks instead.
"""

import argparse
import json
import pathlib

from tfgans import training
from tfgans.config import Config
from tfgans.models import MODELS, runtimes

SAME = ("uint8",)  # serving_default, rounded
LARGE = {"dcgan": "serving_default", "stylegan2-fashion": "synthesis", "pix2pix": "translate"}


def tried(name) -> dict:
    """Endpoint -> run time -> the largest difference from Keras, or the reason why there is no file."""
    model = training.build(Config.load(name, "tiny"))
    found = {}
    for word, endpoint, _, result in runtimes.converted(model, runtimes.RUN_TIMES, SAME):
        found.setdefault(endpoint, {})[word] = result
    return found


def table(lines) -> str:
    rows = ["| model | endpoint | ONNX | TFLite |", "|---|---|---|---|"]
    for line in sorted(lines, key=lambda line: line["model"]):
        for endpoint, found in line["found"].items():
            cells = [cell(found[word]) for word in runtimes.RUN_TIMES]
            rows.append(f"| {line['model']} | {endpoint} | {' | '.join(cells)} |")
    return "\n".join(rows)


def cell(result) -> str:
    if isinstance(result, str):
        return result
    return "equal" if result == 0 else f"{result:.0e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=pathlib.Path, help="lines of JSON, one for each model")
    parser.add_argument("--table", action="store_true", help="print the table, try nothing")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="all if not given")
    args = parser.parse_args()
    lines = args.file.read_text().splitlines() if args.file.exists() else []
    lines = [json.loads(line) for line in lines]
    if args.table:
        print(table(lines))
        return
    for name in args.models:
        if name not in {line["model"] for line in lines}:
            found = tried(name)
            with args.file.open("a") as file:
                file.write(json.dumps({"model": name, "found": found}) + "\n")
            print(name, found, flush=True)


if __name__ == "__main__":
    main()
