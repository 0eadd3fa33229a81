# `make` lists what there is. Everything runs in .venv, which `setup` keeps equal to the locks.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
SUITES := $(wildcard tests/unit tests/conformance tests/devnet tests/acceptance tests/systemd tests/browser tests/simulation tests/bench)
# The slowest first, a file at a time, so that no process is left with a long one at the end.
IN_PARALLEL := tests/acceptance tests/systemd tests/browser tests/devnet tests/conformance tests/simulation tests/unit \
	-n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# A run with PYTEST_ARGS may be a part of the whole, so the core's coverage gate applies without them only.
PYTEST_ARGS ?=
PROOF_ARGS ?=
say = @printf '\n== %s\n' '$(1)'

.PHONY: proof test-contracts help setup setup-python setup-devnet demo pictures devnet test lint format simulate bench wheel lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18
	@printf '\n  PYTEST_ARGS is passed to pytest: make test PYTEST_ARGS="-k saga -x"\n'

setup: setup-python setup-devnet ## make .venv and the devnet's tools ready (quick when they are)

setup-python:
	$(call say,setup: Python packages)
	@scripts/setup-python

setup-devnet: setup-python
	$(call say,setup: devnet)
	@if [ -x tests/devnet/setup ]; then tests/devnet/setup </dev/null; else echo 'setup: no tests/devnet/setup, nothing to do'; fi

demo: setup ## watch thirteen swaps go through, on local chains
	$(call say,demo)
	@$(PY) -m tests.demo

pictures: setup ## run the demo and a session, and draw both anew; take the dashboard's pictures
	$(call say,pictures)
	@mkdir -p docs
	@DEMO_SVG=docs/demo.svg $(PY) -m tests.demo
	@$(PY) -m tests.demo.session docs/session.svg
	@$(PY) -m tests.browser.pictures

devnet: setup ## run the local chains until Ctrl-C
	$(call say,devnet)
	@$(PY) -m tests.devnet

# Counts are measured alone; the rest runs in as many processes as there are cores, each with chains of its own.
test: setup test-contracts ## run all tests, with the core's coverage gate (a part of them: PYTEST_ARGS)
	$(call say,test: $(notdir $(SUITES)))
ifeq ($(strip $(PYTEST_ARGS)),)
	@$(PY) -m pytest tests/bench --no-cov
	@$(PY) -m pytest $(IN_PARALLEL) --cov --cov-config=pyproject.toml
else
	@echo 'test: PYTEST_ARGS is set: no coverage gate in this run'
	@$(PY) -m pytest $(SUITES) --no-cov $(PYTEST_ARGS)
endif

proof: setup ## run the whole matrix of hostile cases, and write PROOF.md (PROOF_ARGS: these tests only)
	$(call say,proof)
	@$(PY) -m tests.proof $(PROOF_ARGS)

test-contracts: ## run the contract's own unit tests, where there is a cargo
	$(call say,test: contract)
	@$(if $(strip $(PYTEST_ARGS)),echo 'test: PYTEST_ARGS is set: contract tests left out',contracts/test)

lint: setup-python ## check style, format and types; list and audit the dependencies
	$(call say,lint: ruff check)
	@$(PY) -m ruff check .
	$(call say,lint: ruff format)
	@$(PY) -m ruff format --check .
	$(call say,lint: mypy)
	@$(PY) -m mypy
	$(call say,lint: contract artefacts match their sources)
	@contracts/build --check
	$(call say,lint: what an installation brings along)
	@$(PY) scripts/supply-chain

format: setup-python ## apply the formatter and the safe fixes
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

N ?= 2000
SEED ?= 1
JOBS ?= 2
simulate: setup-python ## play N random histories from SEED with JOBS processes (make simulate N=2000 SEED=1 JOBS=2)
	@$(PY) -m tests.simulation --histories $(N) --seed $(SEED) --jobs $(JOBS)

bench: setup ## count requests, writes and memory against their budgets
	$(call say,bench)
	@$(PY) -m tests.bench

wheel: setup-python ## build dist/*.whl for a production installation
	@rm -rf dist
	@$(PY) -m hatchling build --target wheel

lock: ## resolve pyproject.toml into requirements/ again
	@scripts/lock

clean: ## remove what the targets made
	$(call say,clean)
	@rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* htmlcov build dist
	@find miner tests contracts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	@if [ -x tests/devnet/clean ]; then tests/devnet/clean; fi
