# make demo       environment, install, five minutes of training
# make test       environment, install, checks: what CI runs; with MODEL=gan only those of one model
# make test-all   the slow checks too, the contract of all models, errors planted in all losses
# make bench      speed, beside a public peer
# make reference  the real tensorflow-gan and tensorflow-addons, against the committed numbers

PYTHON ?= python3
BIN = .venv/bin
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadgroup --durations 20

demo: .venv/installed
	$(BIN)/python tools/train.py stylegan2

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) -m "not slow" $(if $(MODEL),--model $(MODEL) tests/contract tests/models/test_$(MODEL).py)

test-all: .venv/installed
	$(PYTEST) --every-model
	$(BIN)/python tests/mutations.py

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
