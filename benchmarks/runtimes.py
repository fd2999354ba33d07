"""Tries which endpoints of all models convert to ONNX and TFLite: docs/runtimes.md.

`python benchmarks/runtimes.py results.jsonl` tries those models that have no line in the file, at
their tiny size; `--table` prints the table. `--speed` compares times of large networks instead.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import time

import onnxruntime
import tensorflow as tf

from tfgans import models, training
from tfgans.config import Config
from tfgans.models import MODELS, runtimes, serving

SAME = ("uint8",)  # serving_default, rounded
LARGE = ("stylegan2-fashion", "dcgan", "pix2pix")
REPEATS = 15


def tried(name) -> dict:
    """Endpoint -> run time -> the largest difference from Keras, or why there is no file."""
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


def speed(name) -> dict:
    """Run time -> seconds of one image by serving_default, medians of alternate calls."""
    fashion = name == "stylegan2-fashion"
    model = models.load(name) if fashion else training.build(Config.load(name))
    function, signature = model.endpoints()["serving_default"]
    given = serving.random_inputs(signature, 1)
    tensors = {key: tf.constant(value) for key, value in given.items()}
    with tempfile.TemporaryDirectory() as folder:
        for plain in (False, True):
            serving.export(model.endpoints(), f"{folder}/{plain}", plain)
        served = tf.saved_model.load(f"{folder}/False")
        content = [
            runtimes.to_onnx(f"{folder}/True", "serving_default", signature),
            runtimes.to_tflite(f"{folder}/True", "serving_default", signature),
        ]
    session = onnxruntime.InferenceSession(content[0])
    read = {entry.name: given[entry.name] for entry in session.get_inputs()}
    interpreter = tf.lite.Interpreter(model_content=content[1], num_threads=2)
    runner = interpreter.get_signature_runner()
    calls = {
        "Keras": lambda: function(*tensors.values()),
        "SavedModel": lambda: served.signatures["serving_default"](**tensors),
        "onnx": lambda: session.run(None, read),
        "tflite": lambda: runner(**given),
    }
    taken = {word: [] for word in calls}
    for _ in range(REPEATS + 1):
        for word, call in calls.items():
            start = time.perf_counter()
            call()
            taken[word].append(time.perf_counter() - start)
    return {word: statistics.median(times[1:]) for word, times in taken.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=pathlib.Path, help="lines of JSON, one for each model")
    parser.add_argument("--table", action="store_true", help="print the table, try nothing")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="all if not given")
    parser.add_argument("--speed", action="store_true", help="compare times, try nothing")
    args = parser.parse_args()
    if args.speed:
        for name in LARGE:
            print(name, speed(name), flush=True)
        return
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
