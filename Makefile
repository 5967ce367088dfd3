# Each target does its own set-up: a virtual environment in .venv, filled once per change of pyproject.toml.
PYTHON ?= python3
VENV ?= .venv
BENCH ?= .venv-bench
OSIE ?= ../shared/data/osie
WEIGHTS ?= ../shared/data/dinov2_small
# what gazetune is measured against, and Chromium's driver for the explorer; only in the environment of make bench
BENCH_NEEDS = -e ".[corruptions]" pysaliency==0.2.22 "setuptools<81" fast-vit-rollout==0.1.1 "playwright>=1.50"
BIN = $(VENV)/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: demo test slow check bench torture clean

# CPU builds of torch by constraints.txt; to choose another build, install it into .venv first (README)
$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(INSTALL) -c constraints.txt -e ".[test,check]"
	touch $@

demo: $(VENV)/.demo
	$(BIN)/gazetune demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2

slow: $(VENV)/.test
	$(BIN)/python -m pytest -m slow -n 2

check: $(VENV)/.test
	$(BIN)/ruff check src tests scripts bench examples
	$(BIN)/ruff format --check src tests scripts bench examples
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

# side by side with other people's code, in an environment of its own
$(BENCH)/.ready: pyproject.toml constraints.txt Makefile
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt $(BENCH_NEEDS)
	touch $@

# on a quiet machine, at most 40 minutes; BENCH_OPTIONS="--write docs/PERFORMANCE.md" keeps the table
bench: $(BENCH)/.ready
	$(BENCH)/bin/python bench/suite.py $(if $(wildcard $(OSIE)),--osie $(OSIE)) $(if $(wildcard $(WEIGHTS)),--weights $(WEIGHTS)) $(BENCH_OPTIONS)

# kills, interruptions, damaged files, hostile files: nothing else comes out than our own errors and the same results
torture: $(VENV)/.test
	$(BIN)/python bench/torture.py

clean:
	rm -rf $(VENV) $(BENCH) runs
