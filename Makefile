PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test coverage docs experiments benchmarks

demo: $(VENV)/ready
	$(BIN)/coreprune demo

test: $(VENV)/ready
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

coverage: $(VENV)/ready
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/coverage

docs: $(VENV)/ready
	$(BIN)/python -m docs.generators
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build

experiments: $(VENV)/ready
	$(BIN)/python -m experiments $(if $(QUICK),--quick)

benchmarks: $(VENV)/ready
	$(BIN)/python -m benchmarks

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "coreprune needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
