# make demo         environment, install, five minutes of training
# make test         environment, install, checks; with MODEL=gan only those of one model, with
#                   PYTHON=python3.13 VENV=.venv-newest on another Python
# make test-rest    what `make test` leaves out: the models that it does not need, longer checks; with
#                   PART=0/6 the first of six parts of them
# make test-all     both, the slow checks too, errors planted in all losses
# make test-loading  loading, saving and resuming alone, such as on another Python
# make test-oldest  the same with the oldest packages that setup.py allows
# make test-app     the page in the browser, in an environment of its own; needs Chromium, or with
#                   BROWSER=no only what goes by HTTP
# make test-extras  what needs more packages: sets by name, the hub, notebooks, ONNX
# make docs         the site, into site/; a broken link or a wrong docstring is an error
# make wheel        builds the wheel and the sdist, and uses each in an empty environment
# make bench        speed, beside a public peer
# make reference    the real tensorflow-gan and tensorflow-addons, against the committed numbers

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OLDEST = .venv-oldest
APP = .venv-app
EXTRAS = .venv-extras
PYTEST = python -m pytest -n 2 --dist loadgroup --durations 20
LOADING = tests/contract/test_basic.py tests/reliability/test_digests.py tests/test_serving.py \
	tests/reliability/test_loading.py tests/test_train.py tests/data/test_sources.py \
	tests/reference/test_migration.py

demo: $(VENV)/installed
	$(BIN)/python tools/train.py stylegan2

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/$(PYTEST) -m "not slow" \
		$(if $(MODEL),--model $(MODEL) tests/contract tests/models/test_$(MODEL).py)

test-rest: $(VENV)/installed
	$(BIN)/$(PYTEST) -m "not slow" --rest $(if $(PART),--part $(PART))

test-all: $(VENV)/installed
	$(BIN)/$(PYTEST) --every-model
	$(BIN)/python tests/mutations.py

test-loading: $(VENV)/installed
	$(BIN)/$(PYTEST) -m "not slow" $(LOADING)

test-oldest: $(OLDEST)/installed
	$(OLDEST)/bin/$(PYTEST) -m "not slow" $(LOADING)

test-app: $(APP)/installed
	$(APP)/bin/python -m pytest tests/app $(if $(filter no,$(BROWSER)),-m "not browser")

test-extras: $(EXTRAS)/installed
	$(EXTRAS)/bin/$(PYTEST) -m "not slow" --extras tests/extras

docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

wheel:
	tests/wheel.sh $(PYTHON)

bench: $(VENV)/installed
	$(BIN)/python benchmarks/stylegan2.py

reference:
	tests/reference/live.sh

$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

$(OLDEST)/installed: setup.py tests/oldest.txt
	python3.11 -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade pip
	$(OLDEST)/bin/python -m pip install --quiet --constraint tests/oldest.txt --editable ".[dev]"
	touch $@

$(APP)/installed: setup.py
	$(PYTHON) -m venv $(APP)
	$(APP)/bin/python -m pip install --quiet --upgrade pip
	$(APP)/bin/python -m pip install --quiet --editable ".[test-app]"
	touch $@

$(EXTRAS)/installed: setup.py
	$(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS)/bin/python -m pip install --quiet --upgrade pip
	$(EXTRAS)/bin/python -m pip install --quiet --editable ".[dev,tfds,hf,notebooks,onnx]"
	touch $@

.PHONY: demo test test-rest test-all test-loading test-oldest test-extras test-app docs wheel bench reference
