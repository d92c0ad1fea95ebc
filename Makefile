# make demo | make test | make lint | make bench   [PYTHON=python3.7]
# Everything is set up by itself: a virtual environment for each Python version, in an ignored folder of this checkout.
PYTHON ?=
PYTEST ?=

PYTHON_FOUND := $(shell sh scripts/find_python.sh $(PYTHON))
VERSION := $(shell test -n "$(PYTHON_FOUND)" && $(PYTHON_FOUND) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv-$(VERSION)
BIN := $(CURDIR)/$(VENV)/bin

.PHONY: demo test lint bench python

demo: $(VENV)/.installed
	PATH="$(BIN):$$PATH" sh scripts/demo.sh demo

test: $(VENV)/.installed-test
	PATH="$(BIN):$$PATH" $(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .

bench: $(VENV)/.installed-bench
	PATH="$(BIN):$$PATH" $(BIN)/python -m benchmarks

# One stamp an extra; all is installed anew when setup.py has changed.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

$(VENV)/.installed: setup.py pyproject.toml | $(VENV)/bin/python
	$(INSTALL) .
	touch $@

$(VENV)/.installed-%: setup.py pyproject.toml | $(VENV)/bin/python
	$(INSTALL) '.[$*]'
	touch $@

$(VENV)/bin/python: | python
	$(PYTHON_FOUND) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==24.0

python:
	@test -n "$(PYTHON_FOUND)" || { sh scripts/find_python.sh $(PYTHON) --explain; exit 1; }
