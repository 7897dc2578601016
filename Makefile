# Every target makes its own .venv first, so that a fresh clone needs Python 3.11, git and make only.
PYTHON ?= python3.11
PYTHON312 ?= python3.12
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# This package and lerobot in one environment, which needs a later Python than the pinned one.
LEROBOT := .venv-lerobot/bin
CLIENTS := robomimic rlds lerobot-v21
FORMATS := outputs/formats
UNIT_TESTS := tests/config tests/core tests/data tests/export tests/policy tests/tasks tests/vla
TRAIN_ACT := --steps=20 --batch_size=2 --num_workers=0 --log_freq=5 --save_checkpoint=false \
	--wandb.enable=false --dataset.video_backend=pyav \
	--policy.type=act --policy.device=cpu --policy.push_to_hub=false --policy.chunk_size=10 \
	--policy.n_action_steps=10 --policy.pretrained_backbone_weights=null --policy.dim_model=64 \
	--policy.dim_feedforward=128 --policy.n_heads=4 --policy.n_encoder_layers=1

.PHONY: help install gl quickstart format check test test-slow e2e test-faults fuzz \
	test-autoscaling hashes check-resolve check-lowest check-lerobot check-formats bench docs clean

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

test test-slow: export OMP_NUM_THREADS := 1
test: install  ## what takes seconds each: most tests, minutes in all
	$(BIN)/pytest -n 2 --dist loadfile -m 'not slow and not $(APART)'

test-slow: install  ## the others: Ray, long episodes, other environments
	$(BIN)/pytest -n 2 --dist loadfile -m 'slow and not $(APART)'
APART := (e2e or faults or autoscaling)

e2e: install  ## the whole chain, shortened, on real LIBERO
	$(BIN)/pytest -m e2e

check-resolve: $(STAMP)  ## every extra can be installed on every Python, with the lowest versions too
	for python in 3.11 3.12 3.13; do \
		for versions in highest lowest-direct; do \
			$(RESOLVE) --python-version $$python --resolution $$versions --extra all || exit 1; \
		done; \
	done
	$(RESOLVE) --python-version 3.12 --extra all --extra lerobot
RESOLVE = $(BIN)/uv pip compile --quiet --no-header --output-file /dev/null pyproject.toml

check-lowest: gl .venv-lowest/.installed  ## unit tests with the lowest versions that pyproject.toml allows
	.venv-lowest/bin/pytest -m 'not slow' $(UNIT_TESTS)

# What runs the tests comes first: of it the newest will do.
.venv-lowest/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv $(TEST_TOOLS)
	VIRTUAL_ENV=.venv-lowest .venv-lowest/bin/uv pip install --quiet --resolution lowest-direct -e '.[all]'
	@touch $@
TEST_TOOLS := beartype hypothesis jsonschema psutil pytest pytest-timeout pytest-xdist 'setuptools>=77'

check-lerobot: export HF_HUB_OFFLINE := 1
check-lerobot: export OMP_NUM_THREADS := 1
check-lerobot: gl .venv-lerobot/.installed  ## Python 3.12 with lerobot: unit tests, a simulator, its training
	$(LEROBOT)/rl-datagen doctor
	$(LEROBOT)/python -m pytest $(UNIT_TESTS)

.venv-lerobot/.installed: pyproject.toml constraints-lerobot.txt
	$(PYTHON312) -m venv .venv-lerobot
	$(LEROBOT)/python -m pip install --quiet --upgrade pip
	$(LEROBOT)/python -m pip install --quiet -c constraints-lerobot.txt -e '.[all,lerobot]' $(TEST_TOOLS)
	@touch $@

check-formats: export HF_HUB_OFFLINE := 1
check-formats: export HF_HOME := $(CURDIR)/$(FORMATS)/cache
check-formats: gl .venv-lerobot/.installed $(CLIENTS:%=.venv-%/.installed)  ## our exports, read by other people's libraries
	rm -rf $(FORMATS)
	$(LEROBOT)/python tests/formats/make_dataset.py $(FORMATS)/dataset
	$(LEROBOT)/python tests/formats/check_datasets.py $(FORMATS)/dataset
	$(LEROBOT)/rl-datagen export hdf5 $(FORMATS)/dataset $(FORMATS)/hdf5
	.venv-robomimic/bin/python tests/formats/check_hdf5.py $(FORMATS)/hdf5 $(FORMATS)/dataset
	$(LEROBOT)/rl-datagen export rlds $(FORMATS)/dataset $(FORMATS)/libero_rl
	.venv-rlds/bin/python tests/formats/check_rlds.py $(FORMATS)/libero_rl $(FORMATS)/dataset
	$(LEROBOT)/rl-datagen export lerobot $(FORMATS)/dataset $(FORMATS)/v21 --version v2.1
	.venv-lerobot-v21/bin/python tests/formats/check_lerobot.py $(FORMATS)/v21 $(FORMATS)/dataset
	$(LEROBOT)/rl-datagen export lerobot $(FORMATS)/dataset $(FORMATS)/v30-images --images image
	$(LEROBOT)/python tests/formats/check_lerobot.py $(FORMATS)/v30-images $(FORMATS)/dataset
	$(LEROBOT)/rl-datagen export lerobot $(FORMATS)/dataset $(FORMATS)/v30
	$(LEROBOT)/python tests/formats/check_lerobot.py $(FORMATS)/v30 $(FORMATS)/dataset
	$(LEROBOT)/rl-datagen export lerobot $(FORMATS)/dataset $(FORMATS)/v30-views --views
	$(LEROBOT)/python tests/formats/check_lerobot.py $(FORMATS)/v30-views $(FORMATS)/dataset
	$(LEROBOT)/lerobot-train $(TRAIN_ACT) \
		--dataset.repo_id=local/check --dataset.root=$(FORMATS)/v30 --output_dir=$(FORMATS)/act

# Readers whose requirements contradict ours. What they need besides (torch, ...) is lerobot's.
.venv-%/.installed: tests/formats/requirements/%.txt .venv-lerobot/.installed
	$(PYTHON312) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --no-deps -r $<
	@test $* = rlds || echo $(CURDIR)/.venv-lerobot/lib/python3.12/site-packages \
		> .venv-$*/lib/python3.12/site-packages/beside.pth
	@touch $@

test-faults: install  ## kills the processes of campaigns, which go on
	$(BIN)/pytest -m faults

fuzz: install  ## random inputs for every reader, ten minutes; FUZZ_SECONDS and FUZZ_SEED change it
	$(BIN)/python -m tests.fuzz

test-autoscaling: install  ## nodes that come and go with pending trials, on this machine
	$(BIN)/pytest -m autoscaling --log-cli-level=INFO

bench: install .venv-lerobot/.installed  ## every benchmark of docs/results.md
	$(BIN)/python benchmarks/sim.py speed
	$(BIN)/python benchmarks/sim.py reset
	$(BIN)/python benchmarks/sim.py memory
	$(BIN)/python benchmarks/sim.py scaling
	$(BIN)/python benchmarks/sim.py render
	$(BIN)/python benchmarks/learner.py
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/dataset.py
	$(BIN)/python benchmarks/random_access.py

hashes: $(STAMP)  ## constraints-hashes.txt: every package of an installation with its SHA-256
	$(BIN)/python -m pip install --quiet --dry-run --ignore-installed --report - -c constraints.txt . \
		| $(BIN)/python docker/hashes.py > constraints-hashes.txt

docs: .venv-docs/.installed  ## the documentation as a site: outputs/site, a folder for each version
	.venv-docs/bin/sphinx-build --quiet --fail-on-warning --keep-going -c docs/site . outputs/site/$(VERSION)
	.venv-docs/bin/python docs/site/versions.py outputs/site

.venv-docs/.installed: docs/site/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet -r $<
	@touch $@

clean:  ## removes the environment and caches, keeps outputs/
	rm -rf $(VENV) .venv-* build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
