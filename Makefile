# Every target makes its own .venv first, so that a fresh clone needs Python 3.11, git and make only.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ROBOMIMIC := .venv-robomimic

.PHONY: help install gl quickstart format check test e2e test-faults test-autoscaling check-formats bench clean

help:
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

install: gl $(STAMP)  ## virtual environment, package, GL libraries for rendering

gl:
	@sh docker/install_gl.sh

quickstart: install  ## the main job: one demonstration in, a verified dataset out
	$(BIN)/rl-datagen quickstart

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(STAMP)  ## format, lint, spelling, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/pyright
	$(BIN)/lint-imports

test: install  ## every test but the whole chain, faults and autoscaling
	$(BIN)/pytest -m 'not e2e and not faults and not autoscaling'

e2e: install  ## the whole chain, shortened, on real LIBERO
	$(BIN)/pytest -m e2e

check-formats: install  ## our exports, read by other people's libraries
	$(PYTHON) -m venv $(ROBOMIMIC)
	$(ROBOMIMIC)/bin/python -m pip install --quiet --no-deps robomimic==0.3.0 psutil==7.2.2
	@# The rest of what robomimic needs (torch, h5py, ...) is ours.
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$($(ROBOMIMIC)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth
	rm -rf outputs/formats
	$(BIN)/python tests/formats/make_hdf5.py outputs/formats/hdf5
	$(ROBOMIMIC)/bin/python tests/formats/check_hdf5.py outputs/formats/hdf5

test-faults: install  ## kills the processes of campaigns, which go on
	$(BIN)/pytest -m faults

test-autoscaling: install  ## nodes that come and go with pending trials, on this machine
	$(BIN)/pytest -m autoscaling --log-cli-level=INFO

bench: install  ## every benchmark of docs/results.md
	$(BIN)/python benchmarks/sim.py speed
	$(BIN)/python benchmarks/sim.py reset
	$(BIN)/python benchmarks/sim.py memory
	$(BIN)/python benchmarks/sim.py scaling
	$(BIN)/python benchmarks/sim.py render
	$(BIN)/python benchmarks/learner.py
	$(BIN)/python benchmarks/streaming.py

clean:  ## removes the environment and caches, keeps outputs/
	rm -rf $(VENV) $(ROBOMIMIC) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
