# make demo       environment, install, five minutes of training
# make test       environment, install, checks: what CI runs
# make test-all   the slow checks too
# make bench      speed, beside a public peer
# make reference  the real tensorflow-gan and tensorflow-addons, against the committed numbers

PYTHON ?= python3
BIN = .venv/bin

demo: .venv/installed
	$(BIN)/python tools/train.py stylegan2

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" --durations 20

test-all: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 20

bench: .venv/installed
	$(BIN)/python benchmarks/stylegan2.py

reference:
	tests/reference/live.sh

.venv/installed: setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

.PHONY: demo test test-all bench reference
