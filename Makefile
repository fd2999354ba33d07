# make demo       environment, install, five minutes of training
# make test       environment, install, checks: what CI runs; with MODEL=gan only those of one model
# make test-all   the slow checks too, the contract of all models, errors planted in all losses
# make test-oldest  loading, saving and resuming with the oldest packages that setup.py allows
# make bench      speed, beside a public peer
# make reference  the real tensorflow-gan and tensorflow-addons, against the committed numbers

PYTHON ?= python3
BIN = .venv/bin
LOADING = tests/contract/test_basic.py tests/reliability tests/test_serving.py tests/test_train.py \
	tests/data tests/pretrained tests/reference/test_migration.py
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

test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest -n 2 --dist loadgroup -m "not slow" $(LOADING)

bench: .venv/installed
	$(BIN)/python benchmarks/stylegan2.py

reference:
	tests/reference/live.sh

.venv/installed: setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

.venv-oldest/installed: setup.py tests/oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --upgrade pip
	.venv-oldest/bin/python -m pip install --quiet --constraint tests/oldest.txt --editable ".[dev]"
	touch $@

.PHONY: demo test test-all test-oldest bench reference
