"""The script for a quarter of an hour on a GPU, in its smallest part, on this CPU."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))
import gpu  # noqa: E402

FORMS = ["depthwise", "planes", "full", "slices", "slices, XLA"]


@pytest.mark.thorough
def test_a_part_of_it_writes_records_and_a_table(tmp_path):
    command = [sys.executable, BENCHMARKS / "gpu.py", "--tiny", "--only", "fir", "--json", "found"]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "found").read_text().splitlines()]
    assert {row["item"] for row in rows} == {"fir"}
    assert [row["form"] for row in rows if row["number"] == "float32"] == FORMS
    assert all(row["ms"] > 0 for row in rows)
    table = done.stdout.split("left out for want of time: nothing\n")[1]
    assert len(table.splitlines()) == len(rows)


@pytest.mark.parametrize("wrong", [lambda x: x, gpu.depthwise])
def test_forms_of_the_filter_are_compared_before_they_are_timed(wrong, monkeypatch):
    right = gpu.filters()
    monkeypatch.setattr(gpu, "filters", lambda: right | {"planes": wrong})
    monkeypatch.setattr(gpu, "seconds", lambda *_: 1e-3)
    monkeypatch.setattr(gpu, "turn", lambda: None)
    if wrong is gpu.depthwise:
        gpu.fir(tiny=True)
    else:
        with pytest.raises(AssertionError, match="planes"):
            gpu.fir(tiny=True)


def test_a_failed_item_does_not_end_the_rest_and_time_does(tmp_path, monkeypatch, capfd):
    """One item has no checkout, and stops; then no time is left."""
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--tiny", "--official", str(tmp_path)])
    script = "import sys; sys.exit('no torch here')"
    monkeypatch.setattr(gpu, "LIMIT", 60)
    monkeypatch.setattr(gpu, "__file__", str(tmp_path / "item.py"))
    (tmp_path / "item.py").write_text(script)
    (row,) = gpu.wave(["official float16"], None, end=1e12)
    assert row == {"item": "official float16", "failed": "ended with 1: no torch here"}
    (tmp_path / "item.py").write_text(
        "import time; print('{\"ms\": 2.0}', flush=True); time.sleep(9)"
    )
    monkeypatch.setattr(gpu, "LIMIT", 1)
    rows = gpu.wave(["fir"], None, end=1e12)
    assert rows[0] == {"item": "fir", "ms": 2.0}
    assert rows[1] == {"item": "fir", "failed": "out of time: no message"}


def test_finite_results_are_asked_for():
    with pytest.raises(AssertionError, match="not finite"):
        gpu.seconds(lambda: tf.constant([1.0, float("nan")]), repeats=1)
