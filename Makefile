# `make help` lists what can be made. The first call sets up an environment in .venv with the
# tested versions of constraints.txt; later calls only do so when those files have changed.

VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
PYTEST_ARGS ?= $(if $(SLOW),,-m "not slow")
# Tests of clusters, of kills and of the viewer run one after the other, not side by side.
ALONE := $(addprefix tests/faults/test_,chaos.py cluster.py lack_of_memory.py resume.py stragglers.py) \
	tests/plugin
# Tests of the napari plugin need a display with OpenGL: a virtual one where there is none.
XVFB ?= $(if $(DISPLAY),,$(if $(shell command -v xvfb-run),xvfb-run -a -s "-screen 0 1400x900x24"))

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format bench docs figures tune clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

demo: $(VENV)/.runtime  ## set up and run the demonstration
	$(BIN)/sciup demo

test: $(VENV)/.dev  ## set up and run the tests (SLOW=1: also those of minutes)
	@$(if $(XVFB)$(DISPLAY),,echo "Neither a display nor xvfb-run: tests of the viewer are skipped.")
	OMP_NUM_THREADS=1 $(XVFB) $(BIN)/python -m pytest $(PYTEST_ARGS) -n auto --dist loadfile \
		$(addprefix --ignore=,$(ALONE))
	$(XVFB) $(BIN)/python -m pytest $(PYTEST_ARGS) $(ALONE)

check: lint test  ## everything a change must pass: format, lint, types, layers, tests

lint: $(VENV)/.dev  ## format, lint, types and layers, without the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict sciup napari_plugin/sciup_napari
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## bring the source into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev  ## run the benchmarks
	$(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only $(PYTEST_ARGS)

docs: $(VENV)/.dev  ## build the documentation into site/
	$(BIN)/mkdocs build --strict --quiet

MICROSCOPY ?= ../shared/data/microscopy
ASTRONOMY ?= ../shared/data/astronomy
SKY_SCENES ?= runs/sky_test.npy
FIGURES ?= build/figures
EVALUATE_ARGS ?=

figures: $(VENV)/.dev  ## reproduce the tables and figures of docs and model cards
	for model in $(notdir $(patsubst %/weights.safetensors,%,$(wildcard models/fluorescence-x*/weights.safetensors))); do \
		$(BIN)/sciup evaluate $$model $(MICROSCOPY) --out $(FIGURES)/$$model $(EVALUATE_ARGS) \
		|| exit; done
	for model in $(notdir $(patsubst %/weights.safetensors,%,$(wildcard models/night-sky-x*/weights.safetensors))); do \
		$(BIN)/sciup evaluate $$model $(ASTRONOMY)/test --out $(FIGURES)/$$model \
		$(if $(wildcard $(SKY_SCENES)),--scenes $(SKY_SCENES),--galsim $(ASTRONOMY)/simulate/cosmos_galsim) \
		$(EVALUATE_ARGS) || exit; done
	$(BIN)/sciup demo $(FIGURES)/demo

tune: $(VENV)/.runtime  ## tune the classical methods on training images
	$(BIN)/python -m sciup.evaluate.fluorescence.tuning $(MICROSCOPY)

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "sciup needs Python 3.11 or newer, and none was found." \
		"Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/.runtime
