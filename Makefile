# The one place of named tasks. Each makes its own environment in .venv when it is missing or out of date.

# The first Python here that is new enough; say PYTHON=... for another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check bench lint clean

help: ## show the tasks
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("svcsim needs Python 3.11 or newer; say PYTHON=...") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[cli,plot,pcap,k8s]" --group dev
	touch $@

demo: $(VENV)/installed ## the bundled example cluster, in an iptables and in an IPVS node
	$(BIN)/svcsim demo

test: $(VENV)/installed ## the tests, doctests among them
	$(BIN)/python -m pytest

lint: $(VENV)/installed ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test ## everything that must be green before a change lands

bench: $(VENV)/installed ## the measurements of docs/performance.md
	$(BIN)/python benchmarks/run_all.py

clean: ## forget the environment and what was built
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
