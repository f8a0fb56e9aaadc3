# Needs make and Python >= 3.11, nothing else: everything is installed into .venv, from the locks.
# Another Python: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install quickstart test lint bench lock docs clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-11s %s\n' "$$name" "$$text"; done

install: $(STAMP) ## synth and its tools in .venv

quickstart: $(STAMP) ## from real images to a served generator, in a few minutes
	$(BIN)/python docs/examples/quickstart.py

test: $(STAMP) ## all tests that take seconds
	$(BIN)/python -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(STAMP) ## style, format, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## slow tests, the steps of the Docker image, and quick runs of all measurements
	$(BIN)/python -m pytest -m slow || test $$? -eq 5
	$(BIN)/python docker/check.py cpu
	@set -e; for script in benchmarks/*.py; do test -e "$$script" || continue; \
		echo "$$script --quick"; $(BIN)/python "$$script" --quick; done

lock: $(UV) ## make the locks anew from pyproject.toml, with the newest versions
	$(COMPILE) --upgrade pyproject.toml --output-file requirements.lock
	$(COMPILE) --upgrade --group dev --constraints requirements.lock --output-file requirements-dev.lock
	sed -i.old '/^--/d' requirements.lock requirements-dev.lock
	rm -f requirements.lock.old requirements-dev.lock.old

docs: $(STAMP) ## generated pages: the references of command line and HTTP API
	$(BIN)/python docs/generate.py

clean: ## remove .venv, caches and builds (never what you have made with synth)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "synth needs Python 3.11 or newer, and $(PYTHON) is not. Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(UV): | $(BIN)/python
	$(BIN)/python -m pip install --quiet uv

$(STAMP): pyproject.toml requirements.lock requirements-dev.lock | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock -r requirements-dev.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
