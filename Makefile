# The first command works on a fresh machine: it makes the environment it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PORT ?= 3000
# How many tests run at once: one for each core, unless told otherwise.
WORKERS ?= auto
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --frozen --no-sync

# What knows no Dagster and can be reached by tests in one process.
DOMAIN := phash_dagster/jetstream/*,phash_dagster/images/*,phash_dagster/hashing/*,phash_dagster/rules/*,phash_dagster/matching/*,phash_dagster/moderation/*,phash_dagster/warehouse/*,phash_dagster/reports/*

# Everything here starts many processes. Where compiled modules are not kept, as in many containers,
# each would compile some 1,700 of them anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

.PHONY: demo
demo: environment ## Run the whole pipeline on a small network of its own, and show what it did
	$(RUN) phash-dagster demo

.PHONY: test
test: environment ## The tests that need no servers
	$(RUN) pytest -n $(WORKERS) --dist worksteal -m "not testnet" $(PYTEST_ARGS)

.PHONY: quick
quick: environment ## The tests that start no processes and take no seconds: under two minutes
	$(RUN) pytest -n auto -m "not testnet and not slow" $(PYTEST_ARGS)

.PHONY: coverage
coverage: environment ## The tests that need no servers, and which lines they reach (a quarter slower)
	$(RUN) pytest -n $(WORKERS) --dist worksteal -m "not testnet" --cov --cov-report=term:skip-covered
	$(RUN) coverage report --fail-under=90 --format=total --include='$(DOMAIN)'

.PHONY: dev
dev: environment ## The Dagster UI and daemon against the public Jetstream, in shadow mode
	$(RUN) phash-dagster dev --port $(PORT)

.PHONY: testnet
testnet: environment ## The tests against a real PLC, PDS and Ozone (needs Node.js and PostgreSQL)
	TESTNET=1 $(RUN) pytest -m testnet

.PHONY: check
check: environment ## Lint, formatting and types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

.PHONY: data-model
data-model: environment ## Write docs/data-model.md anew, from the schema
	$(RUN) python -m tests.analysis.data_model

.PHONY: environment
environment: .venv/.installed

.venv/.installed: pyproject.toml uv.lock | $(UV)
	@$(UV) sync --frozen --quiet --extra pdq 2>/dev/null || { \
	  echo "pdqhash cannot be built here (it needs g++ and Python's headers): going on without the hash algorithm pdq"; \
	  $(UV) sync --frozen --quiet; }
	@touch $@

# Debian splits venv off Python; install it where we may, else say what is missing.
.uv/bin/uv:
	@echo "Installing uv into .uv (once)"
	@python3 -m venv .uv 2>/dev/null || { rm -rf .uv; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; \
	  else echo "python3-venv is missing: run 'sudo apt-get install python3-venv', then make again"; exit 1; fi; \
	  python3 -m venv .uv; }
	@.uv/bin/pip install --quiet --disable-pip-version-check uv
