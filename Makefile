# make demo | make test | make test-all | make lint | make bench      [PYTHON=python3.7] [PYTEST='tests/nets -k vgg']
# Everything is set up by itself: a virtual environment for each Python version, in an ignored folder of this checkout.
PYTHON ?=
PYTEST ?=
# Processes that run tests at the same time; each file of tests stays in one.
PROCESSES ?= 2

PYTHON_FOUND := $(shell sh scripts/find_python.sh $(PYTHON))
VERSION := $(shell test -n "$(PYTHON_FOUND)" && $(PYTHON_FOUND) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv-$(VERSION)
BIN := $(CURDIR)/$(VENV)/bin
PINS := requirements/tensorflow-$(if $(filter 3.7,$(VERSION)),1.14,2.21).txt

RUN_TESTS = $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile

.PHONY: demo test test-all lint bench python

demo: $(VENV)/.installed
	PATH="$(BIN):$$PATH" sh scripts/demo.sh demo

# What a newcomer runs: some minutes, no network, no data that is not in this checkout.
test: $(VENV)/.installed-test
	PATH="$(BIN):$$PATH" $(RUN_TESTS) -m 'not slow and not real' $(PYTEST)

# Everything: all nets, damaged files by the thousand, kills; real images and weights where SLIMTUNE_TEST_DATA names them.
test-all: $(VENV)/.installed-test
	PATH="$(BIN):$$PATH" $(RUN_TESTS) $(PYTEST)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .

bench: $(VENV)/.installed-bench
	PATH="$(BIN):$$PATH" $(BIN)/python -m benchmarks

# One stamp for each extra. The versions are those of requirements/, so that a run today equals a run next year.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(PINS) --editable
INPUTS = setup.py pyproject.toml $(wildcard requirements/*.txt)

$(VENV)/.installed: $(INPUTS) | $(VENV)/bin/python
	$(INSTALL) .
	touch $@

$(VENV)/.installed-%: $(INPUTS) | $(VENV)/bin/python
	$(INSTALL) '.[$*]'
	touch $@

$(VENV)/bin/python: | python
	$(PYTHON_FOUND) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==24.0

python:
	@test -n "$(PYTHON_FOUND)" || { sh scripts/find_python.sh $(PYTHON) --explain; exit 1; }
